//! `waypost dlq`: what died and why, and putting it back.
//!
//! Reading a dead-letter queue is receiving from it: messages are leased while they are looked at and handed back
//! afterwards, also on Ctrl-C. Nothing is shown of a payload that its schema doesn't class as open.

mod letters;
mod list;
mod replay;
mod show;

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use messaging::Bus;
use service::{
    postgres::PostgresSettings,
    settings::{Env, all},
};
use sqlx::PgPool;
use worker::Consumer;

pub use self::letters::Letters;
use crate::{Usage, bus::BusSettings};

#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// List dead letters with their reasons
    List(list::List),
    /// Show one dead letter, with everything that is known of its failure
    Show(show::Show),
    /// Send dead letters back to their queue; says what it would do unless told to --execute
    Replay(replay::Replay),
}

#[derive(Debug, Args)]
struct Source {
    /// Whose dead letters
    #[arg(long, default_value = user_service::NAME)]
    consumer: String,
}

impl Source {
    /// The consumer as this binary knows it.
    fn consumer(&self) -> anyhow::Result<Consumer> {
        match self.consumer.as_str() {
            user_service::NAME => Ok(user_service::consumer()),
            other => Err(Usage(format!("no such consumer `{other}`; there is: {}", user_service::NAME)).into()),
        }
    }
}

impl Dlq {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.execute(env).await,
            Self::Show(show) => show.execute(env).await,
            Self::Replay(replay) => replay.execute(env).await,
        }
    }
}

/// The bus, and the consumer's database: a dead letter that carries no reason may have one on record.
async fn connect(env: &Env) -> anyhow::Result<(Arc<dyn Bus>, PgPool)> {
    let (bus, database) = all((BusSettings::from_env(env), PostgresSettings::from_env(env, "USER")))?;
    database.wait_until_ready(bus.patience).await?;
    Ok((bus.connect().await?, database.connect_lazy("waypost-dlq")))
}
