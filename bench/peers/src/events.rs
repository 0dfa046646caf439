//! Reading an event and applying it, as one would for one event at a time.

use anyhow::Context;
use serde_json::Value;
use sqlx::PgPool;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// One transaction: the event is claimed, and its profile written where it is new.
pub async fn apply(pool: &PgPool, body: &[u8]) -> anyhow::Result<()> {
    let event: Value = serde_json::from_slice(body)?;
    let text = |name: &str| event[name].as_str().with_context(|| format!("the event has no {name}"));
    let time = OffsetDateTime::parse(text("time")?, &Rfc3339)?;
    let sequence: i64 = text("sequence")?.parse()?;
    let user: Uuid = text("subject")?.parse()?;
    let email = event["data"]["email"].as_str().context("the event has no address")?;
    let registered = OffsetDateTime::parse(event["data"]["timestamp"].as_str().unwrap_or_default(), &Rfc3339)?;

    let mut tx = pool.begin().await?;
    let claim = "INSERT INTO event_logs
            (event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'record_profile', $8) ON CONFLICT DO NOTHING";
    let claimed = sqlx::query(claim)
        .bind(text("id")?.parse::<Uuid>()?)
        .bind(text("id")?)
        .bind(text("type")?)
        .bind(event["schemaversion"].as_i64().unwrap_or(0) as i32)
        .bind(text("source")?)
        .bind(text("subject")?)
        .bind(sequence)
        .bind(time)
        .execute(&mut *tx)
        .await?;
    if claimed.rows_affected() > 0 {
        let record = "INSERT INTO user_profiles (user_id, email, email_sequence, registered_at)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, email_sequence = excluded.email_sequence
            WHERE excluded.email_sequence > user_profiles.email_sequence";
        sqlx::query(record).bind(user).bind(email).bind(sequence).bind(registered).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
