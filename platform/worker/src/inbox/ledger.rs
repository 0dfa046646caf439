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
    pub handler: Option<String>,
    pub failed_at: OffsetDateTime,
}

/// The first instant whose events can still be told from their copies; older ones are rejected.
pub async fn oldest_applicable(pool: &PgPool) -> Result<OffsetDateTime, PartitionError> {
    // An inbox that no worker has used yet has no weeks; its first worker makes them.
    Ok(partitions::oldest(pool, EVENT_LOGS).await?.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// Which of these events have been applied.
pub async fn applied(pool: &PgPool, keys: &[InboxKey]) -> Result<Vec<Uuid>, sqlx::Error> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_uuid()).collect();
    sqlx::query_scalar!("SELECT event_key FROM event_logs WHERE event_key = ANY($1)", &keys).fetch_all(pool).await
}

/// The last failure of each of these events that has one.
pub async fn last_failures(pool: &PgPool, keys: &[InboxKey]) -> Result<Vec<LastFailure>, sqlx::Error> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_uuid()).collect();
    sqlx::query_as!(
        LastFailure,
        r#"SELECT DISTINCT ON (event_key)
                  event_key AS "event_key!", attempt, class, reason, message, causes, handler, failed_at
             FROM event_failures
            WHERE event_key = ANY($1)
            ORDER BY event_key, failure_id DESC"#,
        &keys
    )
    .fetch_all(pool)
    .await
}
