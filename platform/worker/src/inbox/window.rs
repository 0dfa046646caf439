//! The inbox's weeks, and since when it can tell a copy.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use partitions::{PartitionError, Table};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// Longer than a message can live: queue retention (4 d), dead-letter retention (14 d), and a replay.
const KEEP: Duration = Duration::days(28);

pub const EVENT_LOGS: Table = Table { name: "event_logs", keep: KEEP, hold: None };
pub const EVENT_FAILURES: Table = Table { name: "event_failures", keep: KEEP, hold: None };

/// The first instant that `event_logs` has a partition for. An older event can't be told from its copies any more.
#[derive(Debug, Clone)]
pub(crate) struct Window(Arc<AtomicI64>);

impl Window {
    pub fn from(oldest: OffsetDateTime) -> Self {
        Self(Arc::new(AtomicI64::new(oldest.unix_timestamp())))
    }

    pub fn oldest(&self) -> OffsetDateTime {
        // Set from a valid time only.
        OffsetDateTime::from_unix_timestamp(self.0.load(Ordering::Relaxed)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn set(&self, oldest: OffsetDateTime) {
        self.0.store(oldest.unix_timestamp(), Ordering::Relaxed);
    }

    /// Makes and drops weeks, and takes over where the window now starts.
    pub async fn maintain(&self, pool: &PgPool, now: OffsetDateTime) -> Result<(), PartitionError> {
        self.set(maintain_inbox(pool, now).await?);
        Ok(())
    }

    /// Takes over where the window starts after another worker has dropped a week.
    pub async fn refresh(&self, pool: &PgPool) -> Result<(), PartitionError> {
        if let Some(oldest) = partitions::oldest(pool, EVENT_LOGS).await? {
            self.set(oldest);
        }
        Ok(())
    }
}

/// Makes and drops the weeks of the inbox. Answers the first instant it covers.
pub async fn maintain_inbox(pool: &PgPool, now: OffsetDateTime) -> Result<OffsetDateTime, PartitionError> {
    // Both, before the first error counts: neither should lack a week for the other's sake.
    let logs = partitions::maintain(pool, EVENT_LOGS, now).await;
    partitions::maintain(pool, EVENT_FAILURES, now).await?;
    let logs = logs?;
    if !logs.made.is_empty() || !logs.dropped.is_empty() {
        tracing::info!(made = logs.made.len(), dropped = logs.dropped.len(), "maintained the weeks of event_logs");
    }
    Ok(logs.oldest)
}
