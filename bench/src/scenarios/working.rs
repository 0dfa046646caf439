//! A worker in this process, on a queue that tells how far it is.

use std::{sync::Arc, time::Duration};

use messaging::Queue;
use schemas::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use worker::{Worker, WorkerSettings};

use crate::counted::Counted;

/// Runs user-service's worker, as it is set up where nobody says otherwise, until all that is in the queue is deleted.
pub async fn work_off(queue: Arc<Counted>, dead_letters: Arc<dyn Queue>, pool: PgPool) -> anyhow::Result<Duration> {
    let settings = WorkerSettings::new("bench", env!("CARGO_PKG_VERSION"));
    let settings = WorkerSettings { wait: Duration::from_secs(1), ..settings };
    let consumer = user_service::consumer(Clock::system());
    let worker = Worker::new(consumer, queue.clone(), dead_letters, pool, settings, Clock::system());
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));
    let took = queue.until_all_are_deleted().await;
    stop.cancel();
    working.await??;
    Ok(took)
}
