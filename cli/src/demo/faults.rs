//! What is done to the platform.

use anyhow::{Context, bail};
use messaging::OutgoingMessage;
use schemas::{Clock, Event, UserCreatedV2, event_id};
use serde_json::json;
use sqlx::{Executor, PgTransaction};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{accounts::REFUSED_TAG, scratch::Scratch};

/// Two things in one transaction of the demo's own: a constraint that a bad release brought, and a witness that notes
/// every application of an event, independently of `event_logs`. It fires before ON CONFLICT is looked at, so a second
/// application shows even where it would change nothing.
pub async fn refuse_some_addresses(scratch: &Scratch) -> anyhow::Result<()> {
    let mut tx = scratch.user.pool.begin().await?;
    tx.execute(
        "CREATE TABLE demo_witness (user_id uuid NOT NULL);
         CREATE FUNCTION demo_bear_witness() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO demo_witness VALUES (NEW.user_id); RETURN NEW; END $$;
         CREATE TRIGGER demo_witness BEFORE INSERT ON user_profiles
             FOR EACH ROW EXECUTE FUNCTION demo_bear_witness();",
    )
    .await?;
    let constraint =
        format!("ALTER TABLE user_profiles ADD CONSTRAINT demo_bad_release CHECK (email NOT LIKE '%{REFUSED_TAG}%')");
    tx.execute(sqlx::AssertSqlSafe(constraint)).await?;
    Ok(tx.commit().await?)
}

/// A transaction that keeps every worker waiting inside its own, as a careless migration would.
pub async fn lock_profiles(scratch: &Scratch) -> anyhow::Result<PgTransaction<'static>> {
    let mut tx = scratch.user.pool.begin().await?;
    tx.execute("LOCK TABLE user_profiles IN ACCESS EXCLUSIVE MODE").await?;
    Ok(tx)
}

pub async fn accept_all_addresses(scratch: &Scratch) -> anyhow::Result<()> {
    scratch.user.pool.execute("ALTER TABLE user_profiles DROP CONSTRAINT demo_bad_release").await?;
    Ok(())
}

/// Messages that can never be applied, on the topic and straight in the queue. Answers how many.
pub async fn inject_broken_messages(scratch: &Scratch) -> anyhow::Result<i64> {
    let now = Clock::system().now();
    let messages = [
        message("this is not JSON".to_owned()),
        message("{\"specversion\":\"1.0\",\"id\":\"cut off in the mid".to_owned()),
        event("user.created", 1, now, &json!({ "userId": "not an id" }))?,
        event("user.created", 99, now, &json!({}))?,
        event("user.exploded", 1, now, &json!({}))?,
        event("user.created", 1, now - Duration::days(400), &json!({}))?,
        event("user.created", 1, now + Duration::days(3), &json!({}))?,
    ];
    let (on_topic, in_queue) = messages.split_at(4);
    let mut results = scratch.bus.publisher().publish(UserCreatedV2::TYPE.as_str(), on_topic).await;
    results.extend(scratch.queue.send(in_queue).await);
    for result in results {
        result.context("could not inject a broken message")?;
    }
    Ok(messages.len() as i64)
}

/// Publishes events a second time that are on the topic already, leaving out those that the constraint refuses: their
/// copies would be dead letters, not duplicates. Answers how many.
pub async fn repeat_deliveries(scratch: &Scratch, count: u32) -> anyhow::Result<usize> {
    let envelopes: Vec<String> = sqlx::query_scalar(
        "SELECT envelope
           FROM outbox
          WHERE status = 'published' AND envelope IS NOT NULL AND event_type = 'user.created' AND strpos(envelope, $2) = 0
          ORDER BY random()
          LIMIT $1",
    )
    .bind(i64::from(count))
    .bind(REFUSED_TAG)
    .fetch_all(&scratch.auth.pool)
    .await?;
    let messages: Vec<_> = envelopes.into_iter().map(message).collect();
    let results = scratch.bus.publisher().publish(UserCreatedV2::TYPE.as_str(), &messages).await;
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        bail!("could not repeat a delivery: {error}");
    }
    Ok(messages.len())
}

fn message(body: String) -> OutgoingMessage {
    let attributes = [("type", UserCreatedV2::TYPE.as_str()), ("schemaversion", "1"), ("source", "auth-service")];
    OutgoingMessage { body, attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into() }
}

fn event(
    event_type: &str,
    version: u32,
    time: OffsetDateTime,
    data: &serde_json::Value,
) -> anyhow::Result<OutgoingMessage> {
    let event = json!({
        "specversion": "1.0", "id": event_id(time).to_string(), "source": "auth-service", "type": event_type,
        "time": time.format(&Rfc3339)?, "schemaversion": version, "data": data,
    });
    Ok(message(event.to_string()))
}
