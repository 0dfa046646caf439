//! A row for each letter that an operation is about to touch, by which another process can go on after a crash.
//!
//! States go one way: `planned`, then `sent` or `archived`, then `deleted`; `skipped` where there was nothing left to do.
//! The row says `sent` after the queue has confirmed the copy, so that a crash in between sends it again, and the inbox
//! recognises the second. The other order would lose it.

use schemas::InboxKey;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{DeadLetter, Decision};

/// Where an operation is with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    Planned,
    Sent,
    Archived,
    Deleted,
    Skipped,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
            Self::Skipped => "skipped",
        }
    }

    fn named(name: &str) -> Self {
        [Self::Sent, Self::Archived, Self::Deleted, Self::Skipped]
            .into_iter()
            .find(|state| state.as_str() == name)
            .unwrap_or(Self::Planned)
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub letter_key: String,
    pub letter_id: String,
    pub is_discard: bool,
    pub state: State,
    pub receipts: Vec<String>,
}

/// An operation that is at a letter, or was when it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub letter_key: String,
    pub operation_id: Uuid,
    pub actor: String,
    pub begun_at: OffsetDateTime,
    pub runs: bool,
}

/// Writes a row for each letter, as planned. In the caller's transaction.
pub(crate) async fn plan(
    connection: &mut PgConnection,
    operation: Uuid,
    letters: &[(DeadLetter, &Decision)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let letter_keys: Vec<_> = letters.iter().map(|(letter, _)| letter.key()).collect();
    let ids: Vec<_> = letters.iter().map(|(letter, _)| letter.id()).collect();
    let event_keys: Vec<_> = letters.iter().map(|(letter, _)| letter.event_key().map(InboxKey::as_uuid)).collect();
    let subjects: Vec<_> = letters.iter().map(|(letter, _)| letter.subject()).collect();
    let actions: Vec<_> = letters.iter().map(|(_, decision)| decision.name()).collect();
    // PostgreSQL has no arrays of arrays that differ in length.
    let receipts: Vec<_> = letters.iter().map(|(letter, _)| joined(letter)).collect();
    sqlx::query!(
        "INSERT INTO redrive_journal
             (operation_id, letter_key, letter_id, event_key, subject, action, state, receipts, changed_at)
         SELECT $1, l.letter_key, l.letter_id, l.event_key, l.subject, l.action, 'planned',
                string_to_array(l.receipts, E'\\n'), $8
           FROM unnest($2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[])
                AS l (letter_key, letter_id, event_key, subject, action, receipts)",
        operation,
        &letter_keys,
        &ids as &[&str],
        &event_keys as &[Option<Uuid>],
        &subjects as &[Option<&str>],
        &actions as &[&str],
        &receipts,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

fn joined(letter: &DeadLetter) -> String {
    let receipts: Vec<_> = letter.copies.iter().map(|copy| copy.receipt.as_str()).collect();
    receipts.join("\n")
}

/// Moves letters on, in the caller's transaction.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    operation: Uuid,
    letter_keys: &[String],
    state: State,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if letter_keys.is_empty() {
        return Ok(());
    }
    // Rows that are missing belong to somebody who has been erased meanwhile.
    sqlx::query!(
        "UPDATE redrive_journal SET state = $3, changed_at = $4
          WHERE operation_id = $1 AND letter_key = ANY($2) AND state NOT IN ('deleted', 'skipped')",
        operation,
        letter_keys,
        state.as_str(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What an operation has left to do. Empty where it is through.
pub async fn unfinished(pool: &PgPool, operation: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT letter_key, letter_id, action, state, receipts FROM redrive_journal
          WHERE operation_id = $1 AND state NOT IN ('deleted', 'skipped')
          ORDER BY letter_key",
        operation,
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| Row {
        letter_key: row.letter_key,
        letter_id: row.letter_id,
        is_discard: row.action == "discard",
        state: State::named(&row.state),
        receipts: row.receipts,
    });
    Ok(rows.collect())
}

/// Which of these letters another operation is at: one that runs, or one that was killed after it had sent or archived.
pub(crate) async fn claims(
    pool: &PgPool,
    letter_keys: &[String],
    own: Option<Uuid>,
) -> Result<Vec<Claim>, sqlx::Error> {
    // An operation holds a lock for as long as its process lives; see `Operation`.
    sqlx::query_as!(
        Claim,
        r#"SELECT DISTINCT ON (j.letter_key) j.letter_key, o.operation_id, o.actor, o.begun_at, alive.runs AS "runs!"
             FROM redrive_journal j
             JOIN redrive_operations o USING (operation_id)
            CROSS JOIN LATERAL (SELECT EXISTS (
                  SELECT FROM pg_locks
                   WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND (classid::int8 << 32 | objid::int8) = hashtextextended(o.operation_id::text, 0)) AS runs) alive
            WHERE j.letter_key = ANY($1) AND o.operation_id IS DISTINCT FROM $2
              AND (j.state IN ('sent', 'archived') OR j.state = 'planned' AND alive.runs)
            ORDER BY j.letter_key, alive.runs DESC, o.operation_id DESC"#,
        letter_keys,
        own as Option<Uuid>,
    )
    .fetch_all(pool)
    .await
}
