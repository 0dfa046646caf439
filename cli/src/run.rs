//! `waypost run`: services as a process, from their settings to its exit code.
//!
//! Each service reads its settings first and starts then, in a lifecycle and with metrics that are the process's. So one
//! process can run any number of them, and everything that is wrong with any of their settings is said at once.

mod auth_service;
mod queue_check;
mod relay;
mod settings;
mod worker;
mod worker_name;

use std::{fmt, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use service::{
    lifecycle::{self, Lifecycle},
    settings::{Env, SettingErrors, all},
    telemetry::{self, Metrics, TelemetrySettings, TraceSettings},
};

use self::{
    auth_service::AuthService,
    relay::RelayProcess,
    settings::{RelayPlace, relay_place},
    worker::WorkerProcess,
    worker_name::WorkerName,
};
pub use self::{
    relay::NAME as RELAY,
    settings::{AdminListen, RELAY_ADMIN},
    worker::InboxSettings,
};
use crate::consumers::{Configured, ConsumerProcess, LeftOut};

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Run {
    /// Accounts over HTTP, with its relay unless that runs standalone
    AuthService,
    #[command(flatten)]
    Worker(WorkerName),
    /// A relay in a process of its own
    Relay {
        /// Whose outbox
        #[arg(long)]
        service: Producer,
    },
    /// Every service in this one process, for a small machine; a consumer's worker where its database is named
    All,
}

/// A service that has an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Producer {
    Auth,
}

/// What a process runs, with its settings.
#[derive(Default)]
pub struct Services {
    auth: Option<AuthService>,
    relay: Option<RelayProcess>,
    workers: Vec<WorkerProcess>,
    /// Consumers that no worker here reads for.
    left_out: Vec<LeftOut>,
}

impl Run {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (logging, traces, services, grace) = all((
            TelemetrySettings::from_env(env),
            TraceSettings::from_env(env),
            self.services(env),
            lifecycle::grace_from_env(env),
        ))?;
        let traces = telemetry::start(&logging, traces.as_ref(), self.name())?;
        let lifecycle = Lifecycle::with_signals(grace)?;
        let metrics = Metrics::start(self.name())?;
        ::worker::describe_metrics();
        messaging::describe_metrics();
        lifecycle.spawn("metrics", metrics.clone().keep_up(lifecycle.soft()));
        let started = services.start(&lifecycle, &metrics).await;
        // Those that started have something to finish. A second request to stop would be a hard one.
        if started.is_err() && !lifecycle.soft().is_cancelled() {
            lifecycle.stop().request("a service could not start");
        }
        let outcome = lifecycle.run_until_stopped().await;
        traces.flush().await;
        match started {
            Err(error) if !error.is::<Stopped>() => Err(error),
            _ => Ok(outcome.exit_code()),
        }
    }

    /// Reads the settings of everything that this would run.
    pub fn services(self, env: &Env) -> Result<Services, SettingErrors> {
        let none = Services::default();
        match self {
            Self::AuthService => Ok(Services { auth: Some(AuthService::from_env(env)?), ..none }),
            Self::Worker(WorkerName(row)) => {
                Ok(Services { workers: vec![WorkerProcess::from_env(env, row, false)?], ..none })
            }
            Self::Relay { service } => Ok(Services { relay: Some(RelayProcess::from_env(env, service)?), ..none }),
            Self::All => {
                let relay = match relay_place(env) {
                    Ok(RelayPlace::Standalone) => RelayProcess::from_env(env, Producer::Auth).map(Some),
                    // What is wrong with it, auth-service says.
                    _ => Ok(None),
                };
                let Configured { used, left_out } = Configured::of(env);
                let (auth, relay, workers) = all((AuthService::from_env(env), relay, workers(env, &used)))?;
                Ok(Services { auth: Some(auth), relay, workers, left_out })
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AuthService => ::auth_service::NAME,
            Self::Worker(WorkerName(row)) => row.process,
            Self::Relay { .. } => relay::NAME,
            Self::All => "all",
        }
    }
}

fn workers(env: &Env, rows: &[&'static ConsumerProcess]) -> Result<Vec<WorkerProcess>, SettingErrors> {
    let mut wrong = SettingErrors::default();
    let read = |row: &&'static ConsumerProcess| wrong.keep(WorkerProcess::from_env(env, row, rows.len() > 1));
    let workers: Vec<_> = rows.iter().filter_map(read).collect();
    if wrong.is_empty() { Ok(workers) } else { Err(wrong) }
}

/// The process that reads a consumer's queue.
pub fn process_of(consumer: &str) -> &str {
    ConsumerProcess::named(consumer).map_or(consumer, |row| row.process)
}

impl Services {
    async fn start(self, lifecycle: &Lifecycle, metrics: &Metrics) -> anyhow::Result<()> {
        let Self { auth, relay, workers, left_out } = self;
        for row in left_out {
            tracing::warn!("{row}: nothing here reads its queue");
        }
        if let Some(auth) = auth {
            auth.start(lifecycle, metrics.clone()).await?;
        }
        if let Some(relay) = relay {
            relay.start(lifecycle, metrics.clone()).await?;
        }
        for worker in workers {
            worker.start(lifecycle, metrics.clone()).await?;
        }
        Ok(())
    }
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
