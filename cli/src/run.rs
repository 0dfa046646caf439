//! `waypost run`: one service as a process, from its settings to its exit code.

mod auth_service;
mod relay;
mod settings;
mod user_worker;

use std::{fmt, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use service::{lifecycle::Lifecycle, settings::Env, telemetry::Metrics};

#[derive(Debug, Subcommand)]
pub enum Run {
    /// Accounts over HTTP, with its relay unless that runs standalone
    AuthService,
    /// The worker that builds user profiles
    UserWorker,
    /// A relay in a process of its own
    Relay {
        /// Whose outbox
        #[arg(long)]
        service: Producer,
    },
}

/// A service that has an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Producer {
    Auth,
}

impl Run {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let lifecycle = match self {
            Self::AuthService => auth_service::start(env).await?,
            Self::UserWorker => user_worker::start(env).await?,
            Self::Relay { service: Producer::Auth } => relay::start(env, "AUTH").await?,
        };
        Ok(lifecycle.run_until_stopped().await.exit_code())
    }
}

fn start_metrics(process: &str, lifecycle: &Lifecycle) -> anyhow::Result<Metrics> {
    let metrics = Metrics::start(process)?;
    lifecycle.spawn("metrics", metrics.clone().keep_up(lifecycle.soft()));
    Ok(metrics)
}

/// SIGTERM came while a process was still waiting for what it needs.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped while waiting for what it needs")
    }
}

impl std::error::Error for Stopped {}

/// Waiting at the start ends with SIGTERM too.
async fn unless_stopped<T, E: Into<anyhow::Error>>(
    lifecycle: &Lifecycle,
    waiting: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    match lifecycle.soft().run_until_cancelled(waiting).await {
        Some(ready) => ready.map_err(Into::into),
        None => Err(Stopped.into()),
    }
}
