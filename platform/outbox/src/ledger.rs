//! What tools want to know of the outbox, and the one thing they may do to it. No envelope is read: it may hold personal
//! data.
//!
//! What is due, leased or late is so by the database's clock, as it is for relays.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// How much waits, and for what. A row counts once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// Any relay may claim them now.
    pub due: i64,
    /// In the hands of a relay.
    pub leased: i64,
    /// Written to be published later.
    pub delayed: i64,
    /// Publishing failed, and is tried again later.
    pub backing_off: i64,
    /// The bus refused them; no relay tries again.
    pub failed: i64,
    pub published_last_hour: i64,
    /// How long the oldest pending event could have been published: since it was written, or since the time that it was
    /// written for. Leases and back-offs don't make it younger. `None` where nothing waits but what is delayed.
    pub oldest_due_seconds: Option<f64>,
}

/// One event of the outbox, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub event_id: Uuid,
    pub event_type: String,
    pub schema_version: i32,
    pub source: String,
    pub subject: String,
    pub status: String,
    /// Publishing attempts that were begun.
    pub attempts: i32,
    pub created_at: OffsetDateTime,
    pub not_before: Option<OffsetDateTime>,
    /// When a relay may claim it: the end of a lease, or of a back-off.
    pub due_at: OffsetDateTime,
    pub leased: bool,
    pub last_error: Option<String>,
    pub published_at: Option<OffsetDateTime>,
    /// The database's time when this was read.
    pub read_at: OffsetDateTime,
}

/// What a row waits for, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    Due,
    Leased,
    Delayed,
    BackingOff,
    Failed,
    Published,
}

impl RowState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Leased => "leased",
            Self::Delayed => "delayed",
            Self::BackingOff => "backing-off",
            Self::Failed => "failed",
            Self::Published => "published",
        }
    }
}

impl OutboxRow {
    pub fn state(&self) -> RowState {
        match self.status.as_str() {
            "published" => RowState::Published,
            "failed" => RowState::Failed,
            // A lease that has run out is none.
            _ if self.due_at <= self.read_at => RowState::Due,
            _ if self.leased => RowState::Leased,
            _ if self.not_before.is_some_and(|time| time > self.read_at) => RowState::Delayed,
            _ => RowState::BackingOff,
        }
    }
}

/// Which unpublished rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    All,
    Failed,
    /// Due, and either tried before or due for more than a minute: no relay takes them, or none gets rid of them.
    Stuck,
    FailedOrStuck,
}

pub async fn backlog(pool: &PgPool) -> Result<Backlog, sqlx::Error> {
    // What was published within the hour still has its envelope, and those have an index.
    sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) FILTER (WHERE due_at <= now()) AS "due!",
                  count(*) FILTER (WHERE due_at > now() AND lease_token IS NOT NULL) AS "leased!",
                  count(*) FILTER (WHERE due_at > now() AND lease_token IS NULL AND not_before > now()) AS "delayed!",
                  count(*) FILTER (
                      WHERE due_at > now() AND lease_token IS NULL AND (not_before > now()) IS NOT TRUE
                  ) AS "backing_off!",
                  (SELECT count(*) FROM outbox WHERE status = 'failed') AS "failed!",
                  (SELECT count(*)
                     FROM outbox
                    WHERE status = 'published' AND envelope IS NOT NULL AND published_at > now() - interval '1 hour'
                  ) AS "published_last_hour!",
                  extract(epoch FROM now() - min(greatest(created_at, not_before))
                                             FILTER (WHERE (not_before > now()) IS NOT TRUE)
                  )::float8 AS oldest_due_seconds
             FROM outbox
            WHERE status = 'pending'"#
    )
    .fetch_one(pool)
    .await
}

/// Rows that are not published, the oldest first, at most `limit`; of one type where that is given.
pub async fn unpublished(
    pool: &PgPool,
    which: Unpublished,
    event_type: Option<&str>,
    limit: u32,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let (failed, stuck) = (which != Unpublished::Stuck, which != Unpublished::Failed);
    // Each half has an index of its own; a condition on both would read what was published, too.
    sqlx::query_as!(
        OutboxRow,
        r#"WITH chosen AS (
               (SELECT event_id
                  FROM outbox
                 WHERE $1 AND status = 'failed' AND ($4::text IS NULL OR event_type = $4)
                 ORDER BY event_id
                 LIMIT $5)
                UNION ALL
               (SELECT event_id
                  FROM outbox
                 WHERE $2
                   AND status = 'pending'
                   AND ($3 OR (due_at <= now() AND (attempts > 0 OR due_at < now() - interval '1 minute')))
                   AND ($4::text IS NULL OR event_type = $4)
                 ORDER BY event_id
                 LIMIT $5)
           )
           SELECT event_id, event_type, schema_version, source, subject, status, attempts, created_at, not_before, due_at,
                  lease_token IS NOT NULL AS "leased!", last_error, published_at, now() AS "read_at!"
             FROM outbox
            WHERE event_id = ANY(ARRAY(SELECT event_id FROM chosen))
            ORDER BY event_id
            LIMIT $5"#,
        failed,
        stuck,
        which == Unpublished::All,
        event_type,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await
}

/// The rows of these events, whatever their state; those that there are not are missing. By id.
pub async fn rows_of(pool: &PgPool, event_ids: &[Uuid]) -> Result<Vec<OutboxRow>, sqlx::Error> {
    sqlx::query_as!(
        OutboxRow,
        r#"SELECT event_id, event_type, schema_version, source, subject, status, attempts, created_at, not_before, due_at,
                  lease_token IS NOT NULL AS "leased!", last_error, published_at, now() AS "read_at!"
             FROM outbox
            WHERE event_id = ANY($1)
            ORDER BY event_id"#,
        event_ids,
    )
    .fetch_all(pool)
    .await
}

/// Makes failed rows pending and due: of these events, or all where none are given. Answers whose rows they were; any
/// other row is left as it is, so doing it again does nothing. Commits by itself; wake relays afterwards with
/// [`announce_once`](crate::announce_once).
///
/// Attempts are kept: they say how often the bus was asked, and set only how long the next back-off is, which has an end.
/// The last error is kept too, until the next attempt has a result of its own.
pub async fn retry_failed(pool: &PgPool, event_ids: Option<&[Uuid]>) -> Result<Vec<Uuid>, sqlx::Error> {
    // Locked in order, so that two of these can't wait for each other.
    let mut retried = sqlx::query_scalar!(
        "WITH chosen AS (
             SELECT event_id
               FROM outbox
              WHERE status = 'failed' AND ($1 OR event_id = ANY($2))
              ORDER BY event_id
                FOR UPDATE
         )
         UPDATE outbox
            SET status = 'pending', due_at = now(), lease_token = NULL
           FROM chosen
          WHERE outbox.event_id = chosen.event_id AND status = 'failed'
      RETURNING outbox.event_id",
        event_ids.is_none(),
        event_ids.unwrap_or_default(),
    )
    .fetch_all(pool)
    .await?;
    retried.sort_unstable();
    Ok(retried)
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn row(status: &str, due_in: i64) -> OutboxRow {
        OutboxRow {
            event_id: Uuid::nil(),
            event_type: "user.created".to_owned(),
            schema_version: 2,
            source: "auth-service".to_owned(),
            subject: String::new(),
            status: status.to_owned(),
            attempts: 1,
            created_at: NOON - Duration::HOUR,
            not_before: None,
            due_at: NOON + Duration::seconds(due_in),
            leased: false,
            last_error: None,
            published_at: None,
            read_at: NOON,
        }
    }

    #[test]
    fn a_pending_row_waits_for_a_relay_a_lease_its_time_or_its_back_off() {
        assert_eq!(row("pending", 0).state(), RowState::Due);
        assert_eq!(row("pending", 1).state(), RowState::BackingOff);
        assert_eq!(OutboxRow { leased: true, ..row("pending", 1) }.state(), RowState::Leased);
        assert_eq!(OutboxRow { leased: true, ..row("pending", -1) }.state(), RowState::Due, "the lease has run out");
        let due = |seconds| Some(NOON + Duration::seconds(seconds));
        assert_eq!(OutboxRow { not_before: due(1), ..row("pending", 1) }.state(), RowState::Delayed);
        assert_eq!(OutboxRow { not_before: due(-9), ..row("pending", 1) }.state(), RowState::BackingOff);
        // Neither is looked at again, whatever their times say.
        assert_eq!(row("failed", 1).state(), RowState::Failed);
        assert_eq!(OutboxRow { leased: true, ..row("published", 1) }.state(), RowState::Published);
    }
}
