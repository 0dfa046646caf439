//! What keeps the outbox small: weeks made and dropped, payloads forgotten, and gauges of what waits.

use std::time::Duration;

use messaging::RetryDelay;
use metrics::gauge;
use partitions::Table;
use schemas::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// The outbox's weeks. One that still holds something unpublished is kept, however old.
pub const OUTBOX: Table = Table { name: "outbox", keep: time::Duration::days(14), hold: Some("status <> 'published'") };

const MAINTAIN_EVERY: Duration = Duration::from_secs(60 * 60);
const MAINTAIN_RETRY: RetryDelay = RetryDelay::new(Duration::from_secs(5), MAINTAIN_EVERY);
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Personal data is not kept longer than it takes to look into a publication.
const FORGET_ENVELOPES_AFTER_HOURS: i32 = 24;
const FORGET_AT_ONCE: i64 = 1_000;

/// Maintains until `stop`. Failures are logged and tried again: soon at first, because a new outbox has no week yet, then
/// ever later, because trying to drop a week that somebody reads holds up the others for a moment.
pub async fn keep_in_order(pool: PgPool, service: &'static str, clock: Clock, stop: CancellationToken) {
    let mut maintain = tokio::time::interval(MAINTAIN_EVERY);
    let mut measure = tokio::time::interval(MEASURE_EVERY);
    let mut failures = 0;
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            _ = maintain.tick() => {
                let done = maintain_once(&pool, &clock).await;
                failures = if done.is_err() { failures + 1 } else { 0 };
                if failures > 0 {
                    maintain.reset_after(MAINTAIN_RETRY.after(failures));
                }
                done
            }
            _ = measure.tick() => measure_once(&pool, service).await,
        };
        if let Err(error) = done {
            tracing::warn!(error = format!("{error:#}"), "outbox maintenance failed; trying again later");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum MaintenanceError {
    #[error(transparent)]
    Partitions(#[from] partitions::PartitionError),
    #[error("the outbox can't be read or changed: {0}")]
    Database(#[from] sqlx::Error),
}

async fn maintain_once(pool: &PgPool, clock: &Clock) -> Result<(), MaintenanceError> {
    let weeks = partitions::maintain(pool, OUTBOX, clock.now()).await;
    // Whatever became of the weeks: personal data doesn't wait for them.
    while forget_envelopes(pool).await? == FORGET_AT_ONCE as u64 {}
    let done = weeks?;
    if !done.made.is_empty() || !done.dropped.is_empty() {
        tracing::info!(made = done.made.len(), dropped = done.dropped.len(), "maintained the weeks of the outbox");
    }
    if !done.held.is_empty() {
        tracing::warn!(weeks = done.held.len(), "old weeks of the outbox hold events that were never published");
    }
    Ok(())
}

async fn forget_envelopes(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "WITH old AS (
             SELECT event_id
               FROM outbox
              WHERE status = 'published' AND envelope IS NOT NULL AND published_at < now() - make_interval(hours => $1)
              LIMIT $2
                FOR UPDATE SKIP LOCKED
         )
         UPDATE outbox SET envelope = NULL FROM old WHERE outbox.event_id = old.event_id",
        FORGET_ENVELOPES_AFTER_HOURS,
        FORGET_AT_ONCE,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

async fn measure_once(pool: &PgPool, service: &'static str) -> Result<(), MaintenanceError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM outbox WHERE status = 'pending') AS "pending!",
                  (SELECT count(*) FROM outbox WHERE status = 'pending' AND not_before > now()) AS "delayed!",
                  (SELECT count(*) FROM outbox WHERE status = 'failed') AS "failed!",
                  coalesce(
                      extract(epoch FROM now() - (
                          SELECT min(greatest(created_at, not_before))
                            FROM outbox
                           WHERE status = 'pending' AND (not_before IS NULL OR not_before <= now())
                      )),
                      0
                  )::float8 AS "oldest_seconds!""#
    )
    .fetch_one(pool)
    .await?;
    gauge!("outbox_pending", "service" => service).set(row.pending as f64);
    gauge!("outbox_delayed", "service" => service).set(row.delayed as f64);
    gauge!("outbox_failed", "service" => service).set(row.failed as f64);
    gauge!("outbox_oldest_pending_seconds", "service" => service).set(row.oldest_seconds);
    Ok(())
}
