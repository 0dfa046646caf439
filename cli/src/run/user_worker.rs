use std::{sync::Arc, time::Duration};

use messaging::Queue;
use schemas::Clock;
use service::{
    health::{self, Condition, Health},
    http::{self, HttpSettings},
    lifecycle::{self, Lifecycle},
    postgres::{self, PostgresSettings},
    settings::{Env, all},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use worker::{Status, Worker};

use super::{
    settings::{WORKER_ADMIN_LISTEN, admin_listen, worker_settings},
    start_metrics, unless_stopped,
};
use crate::bus::BusSettings;

/// A queue that has not answered for this long beyond a poll's own wait is not being read.
const QUIET: Duration = Duration::from_secs(30);

pub async fn start(env: &Env) -> anyhow::Result<Lifecycle> {
    let (database, bus, worker, queue_url, listen, http, grace) = all((
        PostgresSettings::from_env(env, "USER"),
        BusSettings::from_env(env),
        worker_settings(env),
        env.optional("SQS_QUEUE_URL"),
        admin_listen(env, WORKER_ADMIN_LISTEN, 9102),
        HttpSettings::from_env(env),
        lifecycle::grace_from_env(env),
    ))?;
    let lifecycle = Lifecycle::with_signals(grace)?;
    let listener = http::bind(WORKER_ADMIN_LISTEN, listen).await?;
    let metrics = start_metrics("user-worker", &lifecycle)?;

    unless_stopped(&lifecycle, database.wait_until_ready(bus.patience)).await?;
    let pool = database.connect_lazy("user-worker");
    let bus = unless_stopped(&lifecycle, bus.connect()).await?;
    let consumer = user_service::consumer();
    let name = bus.names().queue(consumer.name());
    let queue: Arc<dyn Queue> = match queue_url {
        Some(url) => bus.queue_at(&name, url),
        None => bus.queue(&name).await?,
    };
    let dead_letters: Arc<dyn Queue> = bus.queue(&bus.names().dead_letter_queue(consumer.name())).await?;

    let quiet = worker.wait + QUIET;
    let worker = Worker::new(consumer, queue, dead_letters, pool.clone(), worker, Clock::system());
    let health = health(pool, worker.status(), quiet, lifecycle.soft());
    lifecycle.spawn("worker", worker.run(lifecycle.soft(), lifecycle.hard()));
    let router = http::app(health::routes(health, metrics).into(), &http);
    lifecycle.spawn("admin", http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
    Ok(lifecycle)
}

fn health(pool: PgPool, status: Status, quiet: Duration, soft: CancellationToken) -> Health {
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
    Health::new(soft).check("postgres", database).check("queue", polling)
}
