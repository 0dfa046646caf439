//! Who did what to which letters, when, why, and what came of it. Nothing here can be changed or deleted: the tables refuse
//! it. Outcomes are written after the act.

use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// What became of a letter, or of the operation where `letter_id` is `None`. `detail` never holds a value of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub letter_id: Option<String>,
    pub outcome: String,
    pub detail: Option<String>,
}

/// One operation, as `history` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    pub operation: Uuid,
    pub verb: String,
    pub consumer: String,
    pub queue: String,
    pub actor: String,
    pub reason: String,
    pub filter: serde_json::Value,
    pub plan: serde_json::Value,
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// `running`; how it ended: `ended`, `interrupted`, `stopped`; or `unfinished`, where its process was killed.
    pub state: String,
    /// Letters that are left to do.
    pub left: i64,
    pub outcomes: serde_json::Value,
}

pub(crate) const ENDED: &str = "ended";
pub(crate) const INTERRUPTED: &str = "interrupted";
pub(crate) const STOPPED: &str = "stopped";
pub(crate) const RESUMED: &str = "resumed";

/// Appends, in the caller's transaction: letters with an outcome and a detail each.
pub(crate) async fn append(
    connection: &mut PgConnection,
    operation: Uuid,
    at: OffsetDateTime,
    outcomes: &[(String, &'static str, Option<String>)],
) -> Result<(), sqlx::Error> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let letters: Vec<_> = outcomes.iter().map(|(letter, ..)| letter.as_str()).collect();
    let names: Vec<_> = outcomes.iter().map(|(_, outcome, _)| *outcome).collect();
    let details: Vec<_> = outcomes.iter().map(|(.., detail)| detail.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO redrive_audit (operation_id, at, letter_id, outcome, detail)
         SELECT $1, $2, o.letter_id, o.outcome, o.detail
           FROM unnest($3::text[], $4::text[], $5::text[]) AS o (letter_id, outcome, detail)",
        operation,
        at,
        &letters as &[&str],
        &names as &[&str],
        &details as &[Option<&str>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Appends what became of the operation itself.
pub(crate) async fn append_end(
    connection: &mut PgConnection,
    operation: Uuid,
    at: OffsetDateTime,
    outcome: &str,
    detail: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO redrive_audit (operation_id, at, outcome, detail) VALUES ($1, $2, $3, $4)",
        operation,
        at,
        outcome,
        detail,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The newest operations, or the one that is asked for.
pub async fn history(pool: &PgPool, operation: Option<Uuid>, most: i64) -> Result<Vec<Recorded>, sqlx::Error> {
    sqlx::query_as!(
        Recorded,
        r#"SELECT o.operation_id AS operation, o.verb, o.consumer, o.queue, o.actor, o.reason, o.filter, o.plan, o.begun_at,
                  CASE WHEN alive.runs THEN 'running' ELSE coalesce(last.outcome, 'unfinished') END AS "state!",
                  coalesce(journal.left_to_do, 0) AS "left!",
                  coalesce(done.outcomes, '{}') AS "outcomes!"
             FROM redrive_operations o
            CROSS JOIN LATERAL (SELECT EXISTS (
                  SELECT FROM pg_locks
                   WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND (classid::int8 << 32 | objid::int8) = hashtextextended(o.operation_id::text, 0)) AS runs) alive
             LEFT JOIN LATERAL (
                  SELECT nullif(a.outcome, 'resumed') AS outcome FROM redrive_audit a
                   WHERE a.operation_id = o.operation_id AND a.letter_id IS NULL
                   ORDER BY a.entry_id DESC LIMIT 1) last ON true
             LEFT JOIN LATERAL (
                  SELECT count(*) AS left_to_do FROM redrive_journal j
                   WHERE j.operation_id = o.operation_id AND j.state NOT IN ('deleted', 'skipped')) journal ON true
             LEFT JOIN LATERAL (
                  SELECT jsonb_object_agg(counted.outcome, counted.letters) AS outcomes
                    FROM (SELECT a.outcome, count(*) AS letters FROM redrive_audit a
                           WHERE a.operation_id = o.operation_id AND a.letter_id IS NOT NULL
                           GROUP BY a.outcome) counted) done ON true
            WHERE $1::uuid IS NULL OR o.operation_id = $1
            ORDER BY o.operation_id DESC
            LIMIT $2"#,
        operation as Option<Uuid>,
        most,
    )
    .fetch_all(pool)
    .await
}

/// Everything that is on record of one operation, in the order of its writing.
pub async fn entries(pool: &PgPool, operation: Uuid) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "SELECT at, letter_id, outcome, detail FROM redrive_audit WHERE operation_id = $1 ORDER BY entry_id",
        operation,
    )
    .fetch_all(pool)
    .await
}

/// What was done to one letter before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    pub operation: Uuid,
    pub verb: String,
    pub actor: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub outcome: String,
}

/// In the order of its writing.
pub async fn of_letter(pool: &PgPool, letter_id: &str) -> Result<Vec<Earlier>, sqlx::Error> {
    sqlx::query_as!(
        Earlier,
        "SELECT o.operation_id AS operation, o.verb, o.actor, o.reason, a.at, a.outcome
           FROM redrive_audit a JOIN redrive_operations o USING (operation_id)
          WHERE a.letter_id = $1
          ORDER BY a.entry_id",
        letter_id,
    )
    .fetch_all(pool)
    .await
}
