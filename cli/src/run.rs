//! `waypost run`: services as a process, from their settings to its exit code.
//!
//! Each service reads its settings first and starts then, in a lifecycle and with metrics that are the process's. So one
//! process can run any number of them, and everything that is wrong with any of their settings is said at once.

mod api;
mod auth_service;
mod product_service;
mod queue_check;
mod relay;
mod service_name;
mod settings;
mod user_service;
mod worker;

use std::{fmt, process::ExitCode};

use clap::Subcommand;
use service::{
    lifecycle::{self, Lifecycle},
    settings::{Env, SettingErrors, all},
    telemetry::{self, Metrics, TelemetrySettings, TraceSettings},
};

pub use self::{
    api::ApiProcess, auth_service::AuthService, product_service::ProductService, relay::NAME as RELAY,
    settings::RELAY_ADMIN, user_service::UserService, worker::InboxSettings,
};
use self::{
    relay::RelayProcess,
    service_name::ServiceName,
    settings::{RelayPlace, relay_place},
    worker::WorkerProcess,
};
use crate::{
    apis::APIS,
    consumers::{Configured, ConsumerProcess, LeftOut},
    producers::{PRODUCERS, Producer, by_database},
};

#[derive(Debug, Clone, Subcommand)]
pub enum Run {
    #[command(flatten)]
    Service(ServiceName),
    /// A relay in a process of its own
    Relay {
        /// Whose outbox; of several, say it several times
        #[arg(long = "service", value_name = "NAME", required = true, value_parser = by_database())]
        services: Vec<&'static Producer>,
    },
    /// Every service in this one process, for a small machine; a consumer's worker where its database is named
    All,
}

/// What a process runs, with its settings.
#[derive(Default)]
pub struct Services {
    apis: Vec<ApiProcess>,
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
    pub fn services(&self, env: &Env) -> Result<Services, SettingErrors> {
        let none = Services::default();
        match self {
            Self::Service(ServiceName::Api(row)) => Ok(Services { apis: vec![(row.from_env)(env)?], ..none }),
            Self::Service(ServiceName::Worker(row)) => {
                Ok(Services { workers: vec![WorkerProcess::from_env(env, row, false)?], ..none })
            }
            Self::Relay { services } => Ok(Services { relay: Some(RelayProcess::from_env(env, services)?), ..none }),
            Self::All => {
                let Configured { used, left_out } = Configured::of(env);
                let apis: Vec<_> = APIS.into_iter().filter(|row| row.is_used(env)).collect();
                let runs = |row: &&'static Producer| {
                    let mut processes = apis.iter().map(|row| row.name).chain(used.iter().map(|row| row.process));
                    processes.any(|process| process == row.process)
                };
                let senders: Vec<_> = PRODUCERS.into_iter().filter(runs).collect();
                let relay = match relay_place(env) {
                    Ok(RelayPlace::Standalone) => RelayProcess::from_env(env, &senders).map(Some),
                    // What is wrong with it, the APIs say.
                    _ => Ok(None),
                };
                let apis = each(apis, |row| (row.from_env)(env));
                let several = used.len() > 1;
                let workers = each(used, |row| WorkerProcess::from_env(env, row, several));
                let (apis, relay, workers) = all((apis, relay, workers))?;
                Ok(Services { apis, relay, workers, left_out })
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Service(ServiceName::Api(row)) => row.name,
            Self::Service(ServiceName::Worker(row)) => row.process,
            Self::Relay { .. } => relay::NAME,
            Self::All => "all",
        }
    }
}

/// Reads the settings of each, so that everything that is wrong with any is said.
fn each<R, T>(
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> Result<T, SettingErrors>,
) -> Result<Vec<T>, SettingErrors> {
    let mut wrong = SettingErrors::default();
    let services: Vec<_> = rows.into_iter().filter_map(|row| wrong.keep(read(row))).collect();
    if wrong.is_empty() { Ok(services) } else { Err(wrong) }
}

/// The process that reads a consumer's queue.
pub fn process_of(consumer: &str) -> &str {
    ConsumerProcess::named(consumer).map_or(consumer, |row| row.process)
}

impl Services {
    async fn start(self, lifecycle: &Lifecycle, metrics: &Metrics) -> anyhow::Result<()> {
        let Self { apis, relay, workers, left_out } = self;
        for row in left_out {
            tracing::warn!("{row}: nothing here reads its queue");
        }
        for api in apis {
            api.start(lifecycle, metrics.clone()).await?;
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
