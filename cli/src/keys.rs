//! `waypost keys`: the keys that services seal, open and sign with. Each service's are a folder of files, named by when
//! they were made; the newest is used, and those before it are kept for as long as something may need them.

mod auth;
mod mailer;

use std::process::ExitCode;

use clap::Subcommand;
use service::settings::Env;

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// What auth-service signs access tokens with
    #[command(subcommand)]
    Auth(auth::AuthKeyCommand),
    /// What tokens for the mailer are sealed and opened with
    #[command(subcommand)]
    Mailer(mailer::MailerKeys),
}

impl Keys {
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::Auth(keys) => keys.execute(env),
            Self::Mailer(keys) => keys.execute(env),
        }
    }
}
