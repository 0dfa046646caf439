//! What tools want to know of the inbox, read only.

use partitions::PartitionError;
use schemas::InboxKey;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::inbox::window::EVENT_LOGS;

/// The last failure on record of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    pub event_key: Uuid,
    pub attempt: i32,
    pub class: String,
    pub reason: String,
    pub message: String,
    pub causes: Vec<String>,
    pub fingerprint: String,
    pub handler: Option<String>,
    pub failed_at: OffsetDateTime,
}

/// The first instant whose events can still be told from their copies; older ones are rejected.
pub async fn oldest_applicable(pool: &PgPool) -> Result<OffsetDateTime, PartitionError> {
    // An inbox that no worker has used yet has no weeks; its first worker makes them.
    Ok(partitions::oldest(pool, EVENT_LOGS).await?.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// Which of these events have been applied.
pub async fn applied(pool: &PgPool, keys: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT event_key FROM event_logs WHERE event_key = ANY($1)", keys).fetch_all(pool).await
}

/// All attempts at an event that failed, the oldest first.
pub async fn failures(pool: &PgPool, key: InboxKey) -> Result<Vec<FailedAttempt>, sqlx::Error> {
    sqlx::query_as!(
        FailedAttempt,
        "SELECT attempt, class, reason, message, causes, handler, worker, version, trace_id, receive_count, dead_lettered,
                failed_at
           FROM event_failures WHERE event_key = $1 ORDER BY failure_id",
        key.as_uuid()
    )
    .fetch_all(pool)
    .await
}

/// One attempt that failed. Holds no data of the event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedAttempt {
    /// Since the event was last dead-lettered.
    pub attempt: i32,
    pub class: String,
    pub reason: String,
    pub message: String,
    pub causes: Vec<String>,
    pub handler: Option<String>,
    pub worker: String,
    pub version: String,
    pub trace_id: Option<String>,
    pub receive_count: i32,
    pub dead_lettered: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub failed_at: OffsetDateTime,
}

/// An event that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub event_key: Uuid,
    pub handler: String,
    pub applied_at: OffsetDateTime,
    /// Deliveries that were recognised as copies.
    pub redeliveries: i32,
}

/// When and by which handler these events were applied; those that were not have none.
pub async fn applications(pool: &PgPool, keys: &[InboxKey]) -> Result<Vec<Application>, sqlx::Error> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_uuid()).collect();
    sqlx::query_as!(
        Application,
        "SELECT event_key, handler, applied_at, redeliveries FROM event_logs WHERE event_key = ANY($1)",
        &keys
    )
    .fetch_all(pool)
    .await
}

/// How often each of these events was dead-lettered with a reason on record. Those that never were are left out.
pub async fn deaths(pool: &PgPool, keys: &[Uuid]) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT event_key AS "event_key!", count(*) AS "deaths!" FROM event_failures
            WHERE event_key = ANY($1) AND dead_lettered
            GROUP BY event_key"#,
        keys
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_key, row.deaths)).collect())
}

/// How many events were dead-lettered with a reason on record since then, by that reason; the most frequent first.
pub async fn arrivals(pool: &PgPool, since: OffsetDateTime) -> Result<Vec<(String, i64)>, sqlx::Error> {
    // Failures are numbered by time, so that only the weeks since then are read.
    let millis = u64::try_from(since.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let first = uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
    let rows = sqlx::query!(
        r#"SELECT reason, count(*) AS "arrivals!" FROM event_failures
            WHERE failure_id >= $1 AND dead_lettered
            GROUP BY reason ORDER BY 2 DESC, 1"#,
        first
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.reason, row.arrivals)).collect())
}

/// The last failure of each of these events that has one.
pub async fn last_failures(pool: &PgPool, keys: &[InboxKey]) -> Result<Vec<LastFailure>, sqlx::Error> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_uuid()).collect();
    sqlx::query_as!(
        LastFailure,
        r#"SELECT DISTINCT ON (event_key)
                  event_key AS "event_key!", attempt, class, reason, message, causes, fingerprint, handler, failed_at
             FROM event_failures
            WHERE event_key = ANY($1)
            ORDER BY event_key, failure_id DESC"#,
        &keys
    )
    .fetch_all(pool)
    .await
}
