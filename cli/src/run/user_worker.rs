use std::{net::SocketAddr, time::Duration};

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
    settings::{WORKER_ADMIN, worker_settings},
    unless_stopped,
};
use crate::bus::{BusSettings, SQS_QUEUE_URL};

pub const NAME: &str = "user-worker";

/// A queue that has not answered for this long beyond a poll's own wait is not being read.
const QUIET: Duration = Duration::from_secs(20);

pub struct UserWorker {
    pub database: PostgresSettings,
    pub bus: BusSettings,
    pub worker: WorkerSettings,
    listen: SocketAddr,
    http: HttpSettings,
}

impl UserWorker {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let database = PostgresSettings::from_env(env, "USER");
        let connections = database.as_ref().ok().map(|database| database.connection_limit);
        let (database, bus, worker, queue_url, listen, http) = all((
            database,
            BusSettings::from_env(env),
            worker_settings(env, connections),
            env.optional(SQS_QUEUE_URL),
            WORKER_ADMIN.read(env),
            HttpSettings::from_env(env),
        ))?;
        let bus = bus.with_queue_url(user_service::NAME, queue_url)?;
        Ok(Self { database, bus, worker, listen, http })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { database, bus, worker, listen, http } = self;
        let listener = http::bind(WORKER_ADMIN.variable, listen).await?;
        unless_stopped(lifecycle, database.wait_until_ready(bus.patience)).await?;
        let pool = database.connect_lazy(NAME);
        let remedies = bus.remedies();
        let bus = unless_stopped(lifecycle, bus.connect()).await?;
        let consumer = user_service::consumer();
        let queue = bus.queue(&bus.names().queue(consumer.name())).await?;
        let dead_letters = bus.queue(&bus.names().dead_letter_queue(consumer.name())).await?;
        warn_of_findings(&*bus, &consumer.subscriber(), &worker, remedies).await;

        let quiet = worker.wait + QUIET;
        let worker = Worker::new(consumer, queue, dead_letters, pool.clone(), worker, Clock::system());
        let health = health(pool, worker.status(), quiet, lifecycle.soft());
        lifecycle.spawn("worker", worker.run(lifecycle.soft(), lifecycle.hard()));
        let router = http::app(health::routes(health, metrics).into(), &http);
        lifecycle.spawn("worker admin", http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
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
