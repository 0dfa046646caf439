use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use redrive::Verb;
use service::settings::Env;

use super::{act::Act, native};
use crate::Usage;

/// Straight to the queue they came from, and not to the topic: other consumers have applied the event long ago.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq replay --group 3f2a                             what would become of one fault's letters
  waypost dlq replay --group 3f2a --ramp 1,5,20,100 --execute --reason 'fixed in 1.4.2'
                                                             one, then five, then twenty, each step verified
  waypost dlq replay --type user.created --since 2h --plan-out plan.json
                                                             plan now, `dlq apply plan.json` later
  waypost dlq replay --all-matching --rate 50/s --execute --reason 'database is back'
  waypost dlq replay --native --execute --reason 'all of it, by SQS itself'")]
pub struct Replay {
    #[command(flatten)]
    act: Act,
    /// Discard letters that have been applied already, instead of leaving them
    #[arg(long)]
    discard_applied: bool,
    /// Have SQS move the whole queue by itself: no filter, no checks, no journal
    #[arg(long)]
    native: bool,
}

impl Replay {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        if !self.native {
            return self.act.execute(env, Verb::Replay, self.discard_applied).await;
        }
        let filter = self.act.matching.filter()?;
        if !filter.is_empty() || filter.limit.is_some() || self.act.plan_out.is_some() || self.discard_applied {
            bail!(Usage(
                "--native moves everything that is in the queue: it goes with no filter, no --limit, no --plan-out and no \
                 --discard-applied"
                    .to_owned()
            ));
        }
        native::replay(&self.act, env).await
    }
}
