//! What was discarded, for as long as a replay could still apply it; and taking away all that speaks of a subject.

use messaging::OutgoingMessage;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{DeadLetter, Stored};

/// A letter that was discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    pub operation: Uuid,
    #[serde(skip)]
    pub letter_key: String,
    pub letter_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub archived_at: OffsetDateTime,
    #[serde(skip)]
    pub message: OutgoingMessage,
}

/// Puts letters into the archive, in the caller's transaction. One that is there already stays as it is.
pub(crate) async fn put(
    connection: &mut PgConnection,
    operation: Uuid,
    letters: &[&DeadLetter],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let keys: Vec<_> = letters.iter().map(|letter| letter.key()).collect();
    let ids: Vec<_> = letters.iter().map(|letter| letter.id()).collect();
    let subjects: Vec<_> = letters.iter().map(|letter| letter.subject()).collect();
    // Of several copies, the one that says most.
    let telling: Vec<&Stored> =
        letters.iter().filter_map(|letter| letter.copies.iter().max_by_key(|copy| copy.attributes.len())).collect();
    let bodies: Vec<_> = telling.iter().map(|copy| copy.body.as_str()).collect();
    let attributes: Vec<_> = telling.iter().map(|copy| Json(&copy.attributes)).collect();
    sqlx::query!(
        "INSERT INTO redrive_archive (operation_id, letter_key, letter_id, subject, body, attributes, archived_at)
         SELECT $1, l.letter_key, l.letter_id, l.subject, l.body, l.attributes, $7
           FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
                AS l (letter_key, letter_id, subject, body, attributes)
             ON CONFLICT DO NOTHING",
        operation,
        &keys,
        &ids as &[&str],
        &subjects as &[Option<&str>],
        &bodies as &[&str],
        &attributes as &[Json<&BTreeMap<String, String>>],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What of an operation is in the archive and was not restored; all of it, or the letters that are named.
pub async fn find(pool: &PgPool, operation: Uuid, letter_ids: &[String]) -> Result<Vec<Archived>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT letter_key, letter_id, body, attributes AS "attributes: Json<BTreeMap<String, String>>", archived_at
             FROM redrive_archive
            WHERE operation_id = $1 AND restored_at IS NULL AND (cardinality($2::text[]) = 0 OR letter_id = ANY($2))
            ORDER BY letter_key"#,
        operation,
        letter_ids,
    )
    .fetch_all(pool)
    .await?;
    let archived = rows.into_iter().map(|row| Archived {
        operation,
        letter_key: row.letter_key,
        letter_id: row.letter_id,
        archived_at: row.archived_at,
        message: OutgoingMessage { body: row.body, attributes: row.attributes.0 },
    });
    Ok(archived.collect())
}

/// Marks letters as back in their queue, in the caller's transaction. Answers how many were not already.
pub(crate) async fn mark_restored(
    connection: &mut PgConnection,
    operation: Uuid,
    letter_keys: &[String],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let marked = sqlx::query!(
        "UPDATE redrive_archive SET restored_at = $3
          WHERE operation_id = $1 AND letter_key = ANY($2) AND restored_at IS NULL",
        operation,
        letter_keys,
        now,
    );
    Ok(marked.execute(connection).await?.rows_affected())
}

/// Takes away what is older than the inbox's window: it could not be applied any more. Answers how many letters those were.
pub(crate) async fn expire(pool: &PgPool, before: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let archived = sqlx::query!("DELETE FROM redrive_archive WHERE archived_at < $1", before).execute(&mut *tx).await?;
    let edits = sqlx::query!("DELETE FROM redrive_edits WHERE edited_at < $1", before).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM redrive_journal WHERE changed_at < $1", before).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(archived.rows_affected() + edits.rows_affected())
}

/// Takes away every message of these subjects: archive, edits, journal. What was done stays on record, by event ids. For
/// whoever erases users, in the transaction of the erasure. Idempotent; answers how many rows went.
pub async fn erase_subjects(connection: &mut PgConnection, subjects: &[String]) -> Result<u64, sqlx::Error> {
    let mut gone = 0;
    for statement in [
        sqlx::query!("DELETE FROM redrive_archive WHERE subject = ANY($1)", subjects),
        sqlx::query!("DELETE FROM redrive_edits WHERE subject = ANY($1)", subjects),
        sqlx::query!("DELETE FROM redrive_journal WHERE subject = ANY($1)", subjects),
    ] {
        gone += statement.execute(&mut *connection).await?.rows_affected();
    }
    Ok(gone)
}
