//! Claiming rows and settling them: all the SQL by which a relay moves a row.
//!
//! Leases run on the database's clock, the one that all relays share. `due_at` is the end of the lease while a row is
//! claimed and the end of the back-off while it isn't, so one index serves both and an expired lease needs no sweeper.

use std::time::Duration;

use messaging::OutgoingMessage;
use sqlx::PgPool;
use uuid::Uuid;

use crate::append::message;

#[derive(Debug, thiserror::Error)]
#[error("could not {what}")]
pub struct RelayDatabaseError {
    what: &'static str,
    source: sqlx::Error,
}

/// Rows that this relay, and no other, may publish until the lease runs out.
#[derive(Debug)]
pub(crate) struct Claim {
    pub token: Uuid,
    pub rows: Vec<Claimed>,
}

#[derive(Debug)]
pub(crate) struct Claimed {
    pub event_id: Uuid,
    pub event_type: String,
    /// Publishing attempts, this one included.
    pub attempts: u32,
    pub message: OutgoingMessage,
}

/// What became of a claim's rows.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub published: Vec<Uuid>,
    pub backed_off: Vec<(Uuid, Duration, String)>,
    pub failed: Vec<(Uuid, String)>,
}

/// Rows that settling found as it expected. What is missing was settled by another relay after this lease ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    pub published: u64,
    pub backed_off: u64,
    pub failed: u64,
}

pub(crate) async fn claim(pool: &PgPool, most: usize, lease: Duration) -> Result<Claim, RelayDatabaseError> {
    let token = Uuid::new_v4();
    let rows = sqlx::query!(
        r#"WITH due AS (
               SELECT event_id
                 FROM outbox
                WHERE status = 'pending' AND due_at <= now()
                ORDER BY due_at, event_id
                LIMIT $1
                  FOR UPDATE SKIP LOCKED
           )
           UPDATE outbox
              SET lease_token = $2, due_at = now() + make_interval(secs => $3), attempts = attempts + 1
             FROM due
            WHERE outbox.event_id = due.event_id
        RETURNING outbox.event_id, event_type, schema_version, source, attempts, envelope AS "envelope!""#,
        most as i64,
        token,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await
    .map_err(|source| RelayDatabaseError { what: "claim outbox rows", source })?;
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|row| Claimed {
            event_id: row.event_id,
            message: message(&row.event_type, row.schema_version, &row.source, row.envelope),
            event_type: row.event_type,
            attempts: row.attempts as u32,
        })
        .collect();
    // RETURNING has no order; older events first is kinder to consumers, though nothing depends on it.
    rows.sort_by_key(|row| row.event_id);
    Ok(Claim { token, rows })
}

pub(crate) async fn settle(pool: &PgPool, token: Uuid, outcome: &Outcome) -> Result<Settled, RelayDatabaseError> {
    let error = |source| RelayDatabaseError { what: "settle outbox rows", source };
    let mut tx = pool.begin().await.map_err(error)?;
    let mut settled = Settled::default();
    if !outcome.published.is_empty() {
        // Not guarded by the token: published is published, whoever holds the lease by now.
        settled.published = sqlx::query!(
            "UPDATE outbox
                SET status = 'published', published_at = now(), lease_token = NULL, last_error = NULL
              WHERE event_id = ANY($1) AND status <> 'published'",
            &outcome.published,
        )
        .execute(&mut *tx)
        .await
        .map_err(error)?
        .rows_affected();
    }
    if !outcome.backed_off.is_empty() {
        let ids: Vec<_> = outcome.backed_off.iter().map(|(id, ..)| *id).collect();
        let delays: Vec<_> = outcome.backed_off.iter().map(|(_, delay, _)| delay.as_secs_f64()).collect();
        let errors: Vec<_> = outcome.backed_off.iter().map(|(.., error)| error.clone()).collect();
        settled.backed_off = sqlx::query!(
            "UPDATE outbox
                SET due_at = now() + make_interval(secs => backed_off.delay),
                    lease_token = NULL,
                    last_error = backed_off.error
               FROM unnest($1::uuid[], $2::float8[], $3::text[]) AS backed_off (event_id, delay, error)
              WHERE outbox.event_id = backed_off.event_id AND lease_token = $4 AND status = 'pending'",
            &ids,
            &delays,
            &errors,
            token,
        )
        .execute(&mut *tx)
        .await
        .map_err(error)?
        .rows_affected();
    }
    if !outcome.failed.is_empty() {
        let (ids, errors): (Vec<_>, Vec<_>) = outcome.failed.iter().cloned().unzip();
        settled.failed = sqlx::query!(
            "UPDATE outbox
                SET status = 'failed', lease_token = NULL, last_error = failed.error
               FROM unnest($1::uuid[], $2::text[]) AS failed (event_id, error)
              WHERE outbox.event_id = failed.event_id AND lease_token = $3 AND status = 'pending'",
            &ids,
            &errors,
            token,
        )
        .execute(&mut *tx)
        .await
        .map_err(error)?
        .rows_affected();
    }
    tx.commit().await.map_err(error)?;
    Ok(settled)
}
