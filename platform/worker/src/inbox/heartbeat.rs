//! The row by which a worker shows in its fleet: who it is, what it does, when it was last seen.
//!
//! Nothing depends on it. A worker that can't write it works on, and one that was killed leaves a row that grows old.

use std::{sync::Arc, time::Duration};

use schemas::Clock;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    settings::WorkerSettings,
    status::{Done, Status},
    transaction::failure::chain,
};

pub(crate) struct Heartbeat {
    pub pool: PgPool,
    pub status: Status,
    pub settings: Arc<WorkerSettings>,
    pub consumer: &'static str,
    pub queue: String,
    pub clock: Clock,
}

/// A worker that is not seen for a few of these is gone.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// Rows of workers that were killed are removed by others after this long.
const FORGET_AFTER_HOURS: i32 = 24;

impl Heartbeat {
    /// Until `stop`; then takes the row away.
    pub async fn run(self, stop: CancellationToken) {
        let started_at = self.clock.now();
        let mut tick = tokio::time::interval(HEARTBEAT_EVERY);
        let mut before = (Instant::now(), Done::default());
        let mut failed = false;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let now = (Instant::now(), self.status.done());
            let written = self.write(started_at, before, now).await;
            before = now;
            // A warning for each change is enough.
            if let Err(error) = &written
                && !failed
            {
                tracing::warn!(
                    error = chain(error),
                    "this worker can't be seen in its fleet: its heartbeat is not written"
                );
            }
            failed = written.is_err();
        }
        // What can't be removed now grows old.
        let _ = tokio::time::timeout(HEARTBEAT_EVERY, self.remove()).await;
    }

    async fn write(
        &self,
        started_at: OffsetDateTime,
        before: (Instant, Done),
        now: (Instant, Done),
    ) -> Result<(), sqlx::Error> {
        let seconds = (now.0 - before.0).as_secs_f64().max(0.001);
        let rate = |count: fn(&Done) -> u64| (count(&now.1) - count(&before.1)) as f64 / seconds;
        let state = if self.status.is_waiting_for_dependency() { "holding" } else { "working" };
        let seen_at = self.clock.now();
        let last_poll_at = self.status.since_last_poll().map(|age| seen_at - age);
        sqlx::query!(
            "WITH forgotten AS (
                 DELETE FROM workers WHERE seen_at < $8::timestamptz - make_interval(hours => $12)
             )
             INSERT INTO workers AS known (worker, consumer, queue, version, state, in_flight, started_at, seen_at,
                                           last_poll_at, received_per_second, applied_per_second, failed_per_second)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
                 ON CONFLICT (worker, consumer) DO UPDATE
                SET queue = excluded.queue, version = excluded.version, state = excluded.state,
                    in_flight = excluded.in_flight, started_at = excluded.started_at, seen_at = excluded.seen_at,
                    last_poll_at = excluded.last_poll_at, received_per_second = excluded.received_per_second,
                    applied_per_second = excluded.applied_per_second, failed_per_second = excluded.failed_per_second",
            self.settings.worker,
            self.consumer,
            self.queue,
            self.settings.version,
            state,
            self.status.in_flight() as i32,
            started_at,
            seen_at,
            last_poll_at,
            rate(|done| done.received),
            rate(|done| done.applied),
            FORGET_AFTER_HOURS,
            rate(|done| done.failed),
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    async fn remove(&self) -> Result<(), sqlx::Error> {
        let removing = sqlx::query!(
            "DELETE FROM workers WHERE worker = $1 AND consumer = $2",
            self.settings.worker,
            self.consumer
        );
        removing.execute(&self.pool).await.map(drop)
    }
}

/// A worker, as its last heartbeat tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Host and process.
    pub worker: String,
    pub consumer: String,
    pub queue: String,
    pub version: String,
    /// `working`, or `holding` while a dependency is down.
    pub state: String,
    /// Messages in hand.
    pub in_flight: i32,
    pub started_at: OffsetDateTime,
    pub seen_at: OffsetDateTime,
    pub last_poll_at: Option<OffsetDateTime>,
    pub received_per_second: f64,
    pub applied_per_second: f64,
    pub failed_per_second: f64,
}

impl Seen {
    /// Whether it missed more than two heartbeats.
    pub fn is_gone(&self, now: OffsetDateTime) -> bool {
        now - self.seen_at > HEARTBEAT_EVERY * 3
    }
}

/// The workers on one database, those first that were seen last.
pub async fn fleet(pool: &PgPool) -> Result<Vec<Seen>, sqlx::Error> {
    let seen = sqlx::query_as!(
        Seen,
        "SELECT worker, consumer, queue, version, state, in_flight, started_at, seen_at, last_poll_at,
                received_per_second, applied_per_second, failed_per_second
           FROM workers
          ORDER BY seen_at DESC, worker, consumer"
    );
    seen.fetch_all(pool).await
}
