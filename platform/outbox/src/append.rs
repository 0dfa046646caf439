use std::collections::BTreeMap;

use messaging::{OutgoingMessage, Unsendable, check_sendable};
use schemas::Envelope;
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the event's id `{0}` should be a UUID v7 from `schemas::event_id`")]
    Id(String),
    #[error("the event does not serialise")]
    Serialise(#[source] serde_json::Error),
    /// Refused now, while the caller can still roll back, instead of by SNS when nobody can.
    #[error("the bus would refuse the event")]
    Unsendable(#[source] Unsendable),
    #[error("could not write to the outbox")]
    Database(#[source] sqlx::Error),
}

/// Writes `envelope` to the outbox in the caller's transaction. Doesn't commit; wake the relay after COMMIT.
pub async fn append(connection: &mut PgConnection, envelope: &Envelope) -> Result<(), AppendError> {
    let id = Uuid::try_parse(&envelope.id).ok().filter(|id| id.get_version_num() == 7);
    let id = id.ok_or_else(|| AppendError::Id(envelope.id.clone()))?;
    let body = serde_json::to_string(envelope).map_err(AppendError::Serialise)?;
    let version = envelope.schemaversion as i32;
    let message = message(&envelope.event_type, version, &envelope.source, body);
    check_sendable(&message).map_err(AppendError::Unsendable)?;
    sqlx::query!(
        "INSERT INTO outbox (event_id, event_type, schema_version, source, subject, envelope)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        envelope.event_type,
        version,
        envelope.source,
        envelope.subject.as_deref().unwrap_or_default(),
        message.body,
    )
    .execute(connection)
    .await
    .map_err(AppendError::Database)?;
    Ok(())
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
