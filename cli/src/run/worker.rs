use std::{net::SocketAddr, time::Duration};

use outbox::{OUTBOX, RelaySettings, Wake};
use schemas::Clock;
use service::{
    health::{self, Condition, Health, PULSE_LIMIT},
    http::{self, HttpSettings},
    lifecycle::Lifecycle,
    postgres::{self, PostgresSettings},
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use worker::{Status, Worker, WorkerSettings};

use super::{
    queue_check::warn_of_findings,
    relay::run_relay,
    settings::{RelayPlace, relay_place, relay_settings, worker_settings},
    unless_stopped,
};
use crate::{
    bus::{BusSettings, SQS_QUEUE_URL},
    consumers::{ConsumerProcess, Opening},
    producers::Producer,
};

/// A queue that has not answered for this long beyond a poll's own wait is not being read.
const QUIET: Duration = Duration::from_secs(20);

/// The worker of one consumer, with its settings.
pub struct WorkerProcess {
    row: &'static ConsumerProcess,
    opening: Opening,
    settings: InboxSettings,
    sending: Option<Sending>,
    listen: SocketAddr,
    http: HttpSettings,
}

/// What a worker is told that writes to an outbox.
struct Sending {
    producer: &'static Producer,
    place: RelayPlace,
    relay: RelaySettings,
}

/// What a worker is told of its database, the bus and itself, whatever its consumer handles.
pub struct InboxSettings {
    pub database: PostgresSettings,
    pub bus: BusSettings,
    pub worker: WorkerSettings,
    /// What says where the queue is, where anything does.
    pub queue_variable: String,
}

impl InboxSettings {
    /// `several`: whether there are other consumers' queues beside this one.
    pub fn from_env(env: &Env, row: &ConsumerProcess, several: bool) -> Result<Self, SettingErrors> {
        let database = row.database(env);
        let connections = database.as_ref().ok().map(|database| database.connection_limit);
        let (database, bus, worker, queue_url) = all((
            database,
            BusSettings::from_env(env),
            worker_settings(env, connections),
            row.queue_url(env, several),
        ))?;
        let queue_variable = queue_url.as_ref().map_or(SQS_QUEUE_URL, |(variable, _)| variable).to_owned();
        Ok(Self { database, bus: bus.with_queue_url(row.name, queue_url)?, worker, queue_variable })
    }
}

impl Sending {
    fn from_env(env: &Env, row: &ConsumerProcess) -> Result<Option<Self>, SettingErrors> {
        let Some(producer) = Producer::of_process(row.process) else { return Ok(None) };
        let (place, relay) = all((relay_place(env), relay_settings(env)))?;
        Ok(Some(Self { producer, place, relay }))
    }
}

impl WorkerProcess {
    pub fn from_env(env: &Env, row: &'static ConsumerProcess, several: bool) -> Result<Self, SettingErrors> {
        let (settings, opening, sending, listen, http) = all((
            InboxSettings::from_env(env, row, several),
            (row.from_env)(env),
            Sending::from_env(env, row),
            row.admin.read(env),
            HttpSettings::from_env(env),
        ))?;
        Ok(Self { row, opening, settings, sending, listen, http })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { row, opening, settings, sending, listen, http } = self;
        let listener = http::bind(row.admin.variable, listen).await?;
        let consumer = unless_stopped(lifecycle, opening).await?;
        unless_stopped(lifecycle, settings.database.wait_until_ready(settings.bus.patience)).await?;
        let pool = settings.database.connect_lazy(row.process);
        let bus = unless_stopped(lifecycle, settings.bus.connect()).await?;
        let queue = bus.queue(&bus.names().queue(consumer.name())).await?;
        let dead_letters = bus.queue(&bus.names().dead_letter_queue(consumer.name())).await?;
        warn_of_findings(&*bus, &consumer.subscriber(), &settings).await;
        if let Some(sending) = sending {
            // What its handlers write must find this week's partition, and the relay that makes it may be elsewhere or later.
            partitions::maintain(&pool, OUTBOX, Clock::system().now()).await?;
            if sending.place == RelayPlace::Inline {
                // Nobody wakes it: a handler doesn't know when its transaction commits.
                let Sending { producer, relay, .. } = sending;
                run_relay(lifecycle, producer, &pool, bus.publisher(), relay, &settings.bus, Wake::new());
            }
        }

        let quiet = settings.worker.wait + QUIET;
        let worker = Worker::new(consumer, queue, dead_letters, pool.clone(), settings.worker, Clock::system());
        let health = health(pool, worker.status(), quiet, lifecycle.soft());
        lifecycle.spawn(row.process, worker.run(lifecycle.soft(), lifecycle.hard()));
        let router = http::app(health::routes(health, metrics).into(), &http);
        let admin = format!("{} admin", row.process);
        lifecycle.spawn(admin, http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
        Ok(())
    }
}

fn health(pool: PgPool, status: Status, quiet: Duration, soft: CancellationToken) -> Health {
    let loops = status.clone();
    let polling = move || {
        let condition = match status.since_last_poll() {
            _ if status.is_waiting_for_dependency() => Condition::Down("holding messages while a dependency is down"),
            None => Condition::Down("the queue has not answered a poll yet"),
            Some(age) if age > quiet => Condition::Down("the queue does not answer polls"),
            Some(_) => Condition::Ok,
        };
        std::future::ready(condition)
    };
    let database = move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    };
    Health::new(soft)
        .pulse("worker", PULSE_LIMIT, move || loops.since_last_tick())
        .check("postgres", database)
        .check("queue", polling)
}
