//! The claims in `event_logs`: all SQL inside the transaction that a handler works in.

pub(crate) mod heartbeat;
pub(crate) mod ledger;
pub(crate) mod window;

use std::{collections::HashMap, time::Duration};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::message::decode::Delivery;

/// Bounds the transaction, all below the lease: without them a duplicate would wait for the claim holder's whole
/// transaction, however long. Answers the backend's process id, by which another connection can cancel it.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    lock_timeout: Duration,
    statement_timeout: Duration,
) -> Result<i32, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT pg_backend_pid() AS "pid!",
                  set_config('lock_timeout', $1, true) AS lock,
                  set_config('statement_timeout', $2, true) AS statement,
                  set_config('idle_in_transaction_session_timeout', $2, true) AS idle"#,
        lock_timeout.as_millis().to_string(),
        statement_timeout.as_millis().to_string(),
    )
    .fetch_one(connection)
    .await?;
    Ok(row.pid)
}

/// Claims events for `handler` and answers the keys that were never claimed before. Keys go in sorted, so that workers
/// with overlapping batches wait for each other instead of deadlocking. They come back in one row: a hundred rows cost the
/// client more than the rest of the statement.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    handler: &str,
    events: &[&Delivery],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let keys: Vec<_> = events.iter().map(|event| event.key.as_uuid()).collect();
    let ids: Vec<_> = events.iter().map(|event| event.envelope.id.as_str()).collect();
    let types: Vec<_> = events.iter().map(|event| event.envelope.event_type.as_str()).collect();
    let versions: Vec<_> = events.iter().map(|event| event.envelope.schemaversion as i32).collect();
    let sources: Vec<_> = events.iter().map(|event| event.envelope.source.as_str()).collect();
    let subjects: Vec<_> = events.iter().map(|event| event.envelope.subject.as_deref()).collect();
    let sequences: Vec<_> = events.iter().map(|event| event.envelope.sequence.map(schemas::Sequence::get)).collect();
    let times: Vec<_> = events.iter().map(|event| event.event_time()).collect();
    sqlx::query_scalar!(
        r#"WITH claimed AS (
             INSERT INTO event_logs
                 (event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time)
             SELECT e.event_key, e.event_id, e.event_type, e.schema_version, e.source, e.subject, e.sequence, $9,
                    e.event_time
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::text[], $7::int8[],
                           $8::timestamptz[])
                    AS e (event_key, event_id, event_type, schema_version, source, subject, sequence, event_time)
              ORDER BY e.event_key
                 ON CONFLICT DO NOTHING
          RETURNING event_key
           )
           SELECT coalesce(array_agg(event_key), '{}') AS "keys!" FROM claimed"#,
        &keys,
        &ids as &[&str],
        &types as &[&str],
        &versions,
        &sources as &[&str],
        &subjects as &[Option<&str>],
        &sequences as &[Option<i64>],
        &times,
        handler,
    )
    .fetch_one(connection)
    .await
}

/// Counts deliveries that were recognised as copies. Rows are locked in key order, as [`claim`] takes them.
pub(crate) async fn count_redeliveries(
    connection: &mut PgConnection,
    keys: &[Uuid],
    copies: &[i32],
) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH locked AS (
             SELECT event_key FROM event_logs WHERE event_key = ANY($1) ORDER BY event_key FOR UPDATE
         )
         UPDATE event_logs
            SET redeliveries = redeliveries + seen.copies
           FROM locked
           JOIN unnest($1::uuid[], $2::int4[]) AS seen (event_key, copies) USING (event_key)
          WHERE event_logs.event_key = locked.event_key",
        keys,
        copies,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether an event is recorded; if it is, counts deliveries of it that were recognised as copies.
pub(crate) async fn recognise(pool: &sqlx::PgPool, key: Uuid, copies: i32) -> Result<bool, sqlx::Error> {
    let counted =
        sqlx::query!("UPDATE event_logs SET redeliveries = redeliveries + $2 WHERE event_key = $1", key, copies);
    Ok(counted.execute(pool).await?.rows_affected() > 0)
}

/// Records an effect that was performed, in a transaction of its own. Where another delivery was faster, this one was a
/// copy, and is counted as such.
pub(crate) async fn record(
    pool: &sqlx::PgPool,
    handler: &str,
    event: &Delivery,
    copies: usize,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let claimed = claim(&mut tx, handler, &[event]).await?;
    let redeliveries = (copies - claimed.len()) as i32;
    if redeliveries > 0 {
        count_redeliveries(&mut tx, &[event.key.as_uuid()], &[redeliveries]).await?;
    }
    tx.commit().await
}

/// Fails in a transaction that has failed before.
pub(crate) async fn prove_alive(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(connection).await.map(drop)
}

/// Gives back the claims of events that a handler did not apply: a row for them would make a replay do nothing.
pub(crate) async fn unclaim(connection: &mut PgConnection, keys: &[Uuid]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let given_back = sqlx::query!("DELETE FROM event_logs WHERE event_key = ANY($1)", keys)
        .execute(connection)
        .await?
        .rows_affected();
    if given_back == keys.len() as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// How many receives of each message its recorded failures explain: those up to the last one.
pub(crate) async fn explained_receives(
    pool: &sqlx::PgPool,
    keys: &[Uuid],
    message_ids: &[String],
) -> Result<HashMap<String, u32>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT message_id, max(receive_count) AS "receives!"
             FROM event_failures
            WHERE event_key = ANY($1) AND message_id = ANY($2)
            GROUP BY message_id"#,
        keys,
        message_ids,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.message_id, row.receives as u32)).collect())
}

/// Cancels what another connection of this role is doing, at the server.
pub(crate) async fn cancel_backend(pool: &sqlx::PgPool, pid: i32) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("SELECT pg_cancel_backend($1)", pid).fetch_one(pool).await.map(drop)
}
