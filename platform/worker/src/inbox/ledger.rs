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

/// An event that was applied, by its row in `event_logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedEvent {
    pub event_key: Uuid,
    pub event_id: String,
    pub event_type: String,
    pub schema_version: i32,
    pub source: String,
    pub subject: Option<String>,
    pub sequence: Option<i64>,
    pub handler: String,
    /// When it happened, by its producer.
    pub event_time: OffsetDateTime,
    pub applied_at: OffsetDateTime,
    /// Deliveries that were recognised as copies and ignored.
    pub redeliveries: i32,
}

/// Which applied events; by default all. What is given has to hold together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppliedFilter {
    /// Any of these ids; none given is any id.
    pub ids: Vec<String>,
    pub subject: Option<String>,
    /// Any of these types; none given is any type.
    pub types: Vec<String>,
    /// From this instant on, by the time in the event's key and to the millisecond, which is all that a key holds.
    pub since: Option<OffsetDateTime>,
    /// Before this instant, in the same way.
    pub until: Option<OffsetDateTime>,
}

/// The newest applied events that pass, at most `limit`, the newest first.
///
/// A UUID v7 among the ids is looked up in the week that it names. Any other id is compared with every row from `since` to
/// `until`: there is no index for it, because its key can't be known without its source and time.
pub async fn find_applied(pool: &PgPool, filter: &AppliedFilter, limit: u32) -> Result<Vec<AppliedEvent>, sqlx::Error> {
    let keys: Vec<_> = filter.ids.iter().filter_map(|id| key_of(id)).collect();
    let foreign: Vec<_> = filter.ids.iter().filter(|id| key_of(id).is_none()).cloned().collect();
    // Conditions on parameters alone are decided when the statement is planned, so that what wasn't asked for costs nothing
    // and weeks are left out.
    sqlx::query_as!(
        AppliedEvent,
        "SELECT event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time,
                applied_at, redeliveries
           FROM event_logs
          WHERE ($1 OR event_key = ANY($2) OR ($3 AND event_id = ANY($4)))
            AND ($5::text IS NULL OR subject = $5)
            AND ($6 OR event_type = ANY($7))
            AND ($8::uuid IS NULL OR event_key >= $8)
            AND ($9::uuid IS NULL OR event_key < $9)
          ORDER BY event_key DESC
          LIMIT $10",
        filter.ids.is_empty(),
        &keys,
        !foreign.is_empty(),
        &foreign,
        filter.subject.as_deref(),
        filter.types.is_empty(),
        &filter.types,
        filter.since.map(partitions::smallest_key),
        filter.until.map(partitions::smallest_key),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await
}

/// An attempt to apply an event that failed, by its row in `event_failures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    pub event_key: Uuid,
    pub event_type: Option<String>,
    /// From 1, and from 1 again after the event was dead-lettered and replayed.
    pub attempt: i32,
    /// `retry`, `reject` or `unclassified`.
    pub class: String,
    pub reason: String,
    pub message: String,
    pub causes: Vec<String>,
    pub handler: Option<String>,
    pub worker: String,
    pub version: String,
    pub trace_id: Option<String>,
    pub queue: String,
    pub message_id: String,
    pub receive_count: i32,
    pub dead_lettered: bool,
    pub failed_at: OffsetDateTime,
}

/// Every failed attempt on record of the events with this id, the oldest first. An id that is no UUID v7 is compared with
/// every row, and several producers may have used it: then there is more than one key.
pub async fn failed_attempts(pool: &PgPool, id: &str) -> Result<Vec<FailedAttempt>, sqlx::Error> {
    sqlx::query_as!(
        FailedAttempt,
        r#"SELECT event_key AS "event_key!", event_type, attempt, class, reason, message, causes, handler, worker, version,
                  trace_id, queue, message_id, receive_count, dead_lettered, failed_at
             FROM event_failures
            WHERE (($1::uuid IS NOT NULL AND event_key = $1) OR ($1::uuid IS NULL AND event_id = $2))
              AND event_key IS NOT NULL
            ORDER BY failure_id"#,
        key_of(id),
        id,
    )
    .fetch_all(pool)
    .await
}

/// A UUID v7 is its own key; of any other id the key can't be known from the id alone.
fn key_of(id: &str) -> Option<Uuid> {
    InboxKey::of(id, "", None).ok().map(InboxKey::as_uuid)
}
