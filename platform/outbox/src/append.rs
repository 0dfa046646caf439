use std::collections::BTreeMap;

use messaging::{OutgoingMessage, Unsendable, check_sendable};
use schemas::Envelope;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How far ahead of its id an event may be due. A consumer knows events from their copies for 28 days by their ids, and
/// after this delay an event may spend 4 days in a queue and 14 among dead letters before it is replayed.
pub const LONGEST_DELAY: Duration = Duration::days(7);

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the event's id `{0}` should be a UUID v7 from `schemas::event_id`")]
    Id(String),
    #[error("the event does not serialise")]
    Serialise(#[source] serde_json::Error),
    /// Refused now, while the caller can still roll back, instead of by SNS when nobody can.
    #[error("the bus would refuse the event")]
    Unsendable(#[source] Unsendable),
    #[error("the event is due at {due}, more than {} days ahead of {made}, the time in its id", LONGEST_DELAY.whole_days())]
    TooFarAhead { due: OffsetDateTime, made: OffsetDateTime },
    #[error("could not write to the outbox")]
    Database(#[source] sqlx::Error),
}

/// Writes `envelope` to the outbox in the caller's transaction. Doesn't commit; wake the relay after COMMIT.
pub async fn append(connection: &mut PgConnection, envelope: &Envelope) -> Result<(), AppendError> {
    insert(connection, envelope, None).await
}

/// As [`append()`], to be published at `due` and not before it, by the database's clock; a time that has passed is now.
/// At most [`LONGEST_DELAY`] ahead. The event is what it was when it was written: whoever publishes it doesn't look again.
pub async fn append_due(
    connection: &mut PgConnection,
    envelope: &Envelope,
    due: OffsetDateTime,
) -> Result<(), AppendError> {
    insert(connection, envelope, Some(due)).await
}

/// As [`append()`], many at once: one statement, however many they are.
pub async fn append_all(connection: &mut PgConnection, envelopes: &[Envelope]) -> Result<(), AppendError> {
    if envelopes.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = envelopes.iter().map(|envelope| Row::of(envelope, None)).collect::<Result<_, _>>()?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let types: Vec<_> = envelopes.iter().map(|envelope| envelope.event_type.as_str()).collect();
    let versions: Vec<_> = rows.iter().map(|row| row.version).collect();
    let sources: Vec<_> = envelopes.iter().map(|envelope| envelope.source.as_str()).collect();
    let subjects: Vec<_> = envelopes.iter().map(subject).collect();
    let bodies: Vec<_> = rows.into_iter().map(|row| row.body).collect();
    sqlx::query!(
        "INSERT INTO outbox (event_id, event_type, schema_version, source, subject, envelope)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::text[])",
        &ids,
        &types as &[&str],
        &versions,
        &sources as &[&str],
        &subjects as &[&str],
        &bodies,
    )
    .execute(connection)
    .await
    .map_err(AppendError::Database)?;
    Ok(())
}

async fn insert(
    connection: &mut PgConnection,
    envelope: &Envelope,
    due: Option<OffsetDateTime>,
) -> Result<(), AppendError> {
    let Row { id, version, body } = Row::of(envelope, due)?;
    sqlx::query!(
        "INSERT INTO outbox (event_id, event_type, schema_version, source, subject, envelope, not_before, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, greatest($7, now()))",
        id,
        envelope.event_type,
        version,
        envelope.source,
        subject(envelope),
        body,
        due,
    )
    .execute(connection)
    .await
    .map_err(AppendError::Database)?;
    Ok(())
}

/// What is not in the envelope as the database holds it.
struct Row {
    id: Uuid,
    version: i32,
    body: String,
}

impl Row {
    fn of(envelope: &Envelope, due: Option<OffsetDateTime>) -> Result<Self, AppendError> {
        let id = Uuid::try_parse(&envelope.id).ok().filter(|id| id.get_version_num() == 7);
        let id = id.ok_or_else(|| AppendError::Id(envelope.id.clone()))?;
        if let (Some(due), Some(made)) = (due, made_at(id))
            && (due - made).whole_milliseconds() > LONGEST_DELAY.whole_milliseconds()
        {
            return Err(AppendError::TooFarAhead { due, made });
        }
        let body = serde_json::to_string(envelope).map_err(AppendError::Serialise)?;
        let version = envelope.schemaversion as i32;
        let message = message(&envelope.event_type, version, &envelope.source, body);
        check_sendable(&message).map_err(AppendError::Unsendable)?;
        Ok(Self { id, version, body: message.body })
    }
}

fn subject(envelope: &Envelope) -> &str {
    envelope.subject.as_deref().unwrap_or_default()
}

/// In whole milliseconds: a UUID v7 holds no more.
fn made_at(id: Uuid) -> Option<OffsetDateTime> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    let seconds = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(seconds + Duration::nanoseconds(nanoseconds.into()))
}

/// The message that an outbox row becomes. Attributes are for filter policies only; everything else is in the body.
pub fn message(event_type: &str, schema_version: i32, source: &str, envelope: String) -> OutgoingMessage {
    let attributes = BTreeMap::from([
        ("type".to_owned(), event_type.to_owned()),
        ("schemaversion".to_owned(), schema_version.to_string()),
        ("source".to_owned(), source.to_owned()),
    ]);
    OutgoingMessage { body: envelope, attributes }
}
