use std::process::ExitCode;

use clap::Args;
use redrive::Verb;
use service::settings::Env;

use super::act::Act;

/// What is discarded goes to an archive in the consumer's database first, where it stays for as long as a replay could
/// still apply it (28 days).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq discard --group 3f2a                            what would go
  waypost dlq discard --group 3f2a --execute --reason 'test data of a load test'
  waypost dlq restore OPERATION --execute --reason 'it was the wrong group'    and back")]
pub struct Discard {
    #[command(flatten)]
    act: Act,
}

impl Discard {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        self.act.execute(env, Verb::Discard, false).await
    }
}
