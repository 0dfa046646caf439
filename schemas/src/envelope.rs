//! `CloudEvents` 1.0 in structured JSON: the message body on every queue.
//!
//! What other producers may write is read as well: `data_base64`, and `schemaversion` as a text. That last one is ours,
//! and required: without it nobody could say which schema the payload keeps to.

mod wire;

use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;
use wire::Wire;

use crate::{Event, InboxKey, NoInboxKey, Sequence, UnreadableJson, read};

const SPEC_VERSION: &str = "1.0";
const JSON: &str = "application/json";
/// Of each attribute that says which event this is. The specification sets no limit; without one, an id could outgrow
/// what an index takes, or the attribute in which a dead letter carries its reason.
const MAX_ATTRIBUTE_BYTES: usize = 512;

/// An event as it travels, with its payload still unread.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope {
    pub specversion: String,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub time: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    pub schemaversion: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    pub data: Box<RawValue>,
}

/// What a producer says of an event beside its payload.
#[derive(Debug, Clone)]
pub struct Header {
    /// From [`crate::event_id`].
    pub id: Uuid,
    /// The producing service's name.
    pub source: &'static str,
    pub time: OffsetDateTime,
    pub sequence: Sequence,
    /// W3C Trace Context of the request that caused the event.
    pub traceparent: Option<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    #[error("not a CloudEvent")]
    Unreadable(#[from] UnreadableJson),
    #[error("`specversion` should be 1.0")]
    SpecVersion,
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// Not allowed in any attribute by the specification; and U+0000 fits into no database column, so the event could be
    /// neither applied nor its failure recorded.
    #[error("`{0}` holds a control character")]
    ControlCharacter(&'static str),
    #[error("`{0}` should have at most {MAX_ATTRIBUTE_BYTES} bytes")]
    TooLong(&'static str),
    #[error("`time` should be within the years 0 to 9999 in UTC")]
    Time,
    #[error("`datacontenttype` should be application/json")]
    ContentType,
    #[error("there should be either `data` or `data_base64`")]
    Data,
    #[error("`data_base64` should be JSON in base64")]
    Base64,
    #[error(transparent)]
    NoKey(#[from] NoInboxKey),
}

impl Envelope {
    /// Wraps `event` for the wire.
    pub fn new<E: Event>(event: &E, header: Header) -> Result<Self, serde_json::Error> {
        Ok(Self {
            specversion: SPEC_VERSION.to_owned(),
            id: header.id.to_string(),
            source: header.source.to_owned(),
            event_type: E::TYPE.to_string(),
            subject: Some(event.subject()),
            time: Some(header.time),
            datacontenttype: Some(JSON.to_owned()),
            dataschema: Some(format!("urn:waypost:{}:{}", E::TYPE, E::VERSION)),
            schemaversion: E::VERSION,
            sequence: Some(header.sequence),
            traceparent: header.traceparent,
            data: serde_json::value::to_raw_value(event)?,
        })
    }

    /// Reads a message body and the inbox key that follows from it. Extension attributes that are not known here are
    /// passed over, as the specification asks.
    pub fn read(body: &str) -> Result<(Self, InboxKey), EnvelopeError> {
        let envelope = read::json::<Wire>(body, None)?.into_envelope()?;
        if envelope.specversion != SPEC_VERSION {
            return Err(EnvelopeError::SpecVersion);
        }
        let (id, source, event_type) = (&*envelope.id, &*envelope.source, &*envelope.event_type);
        let required = [("id", id), ("source", source), ("type", event_type)];
        if let Some((name, _)) = required.iter().find(|(_, value)| value.is_empty()) {
            return Err(EnvelopeError::Empty(name));
        }
        let subject = envelope.subject.as_deref().unwrap_or_default();
        for (name, value) in required.into_iter().chain([("subject", subject)]) {
            if value.contains(char::is_control) {
                return Err(EnvelopeError::ControlCharacter(name));
            }
            if value.len() > MAX_ATTRIBUTE_BYTES {
                return Err(EnvelopeError::TooLong(name));
            }
        }
        // The edges of these years in another offset lie in a year that no text form can say.
        let utc = envelope.time.map(|time| time.checked_to_offset(UtcOffset::UTC));
        if utc.is_some_and(|utc| utc.is_none_or(|utc| utc.year() < 0)) {
            return Err(EnvelopeError::Time);
        }
        if envelope.datacontenttype.as_deref().is_some_and(|kind| !is_json(kind)) {
            return Err(EnvelopeError::ContentType);
        }
        let key = InboxKey::of(&envelope.id, &envelope.source, envelope.time)?;
        Ok((envelope, key))
    }

    /// The trace id within `traceparent` (`version-traceid-parentid-flags`), where there is a well-formed one.
    pub fn trace_id(&self) -> Option<&str> {
        let id = self.traceparent.as_deref()?.split('-').nth(1)?;
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == JSON || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::{Newest, PayloadError, UserCreatedV1, UserCreatedV2, event_id};

    fn sample() -> (UserCreatedV1, Envelope) {
        let now = datetime!(2026-01-02 03:04:05.678901 UTC);
        let event = UserCreatedV1 {
            user_id: event_id(now),
            email: "ada@example.com".to_owned().try_into().unwrap(),
            timestamp: now,
            source: "auth-service".to_owned(),
        };
        let header = Header {
            id: event_id(now),
            source: "auth-service",
            time: now,
            sequence: Sequence::after(None, now),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        };
        let envelope = Envelope::new(&event, header).unwrap();
        (event, envelope)
    }

    #[test]
    fn an_event_survives_the_wire() {
        let (event, envelope) = sample();
        let body = serde_json::to_string(&envelope).unwrap();
        let (back, key) = Envelope::read(&body).unwrap();
        assert_eq!(key.to_string(), envelope.id);
        assert_eq!(back.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(back.sequence, envelope.sequence);
        assert_eq!(UserCreatedV2::read(back.schemaversion, &back.data), Ok(event.into()));
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let (_, envelope) = sample();
        let error = UserCreatedV2::read(9, &envelope.data).unwrap_err();
        assert!(matches!(error, PayloadError::UnknownVersion { version: 9, .. }));
        assert_eq!(error.to_string(), "version 9 of `user.created` is not known here; known: 1, 2");
    }

    #[test]
    fn what_is_no_cloud_event_is_refused_with_the_attribute_at_fault() {
        let good = json!({"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-01-02T03:04:05Z","schemaversion":1,"data":{}});
        assert!(Envelope::read(&good.to_string()).is_ok());
        for (attribute, value, want) in [
            ("specversion", json!("0.3"), "`specversion` should be 1.0"),
            ("id", json!(""), "`id` is empty"),
            ("id", json!("a\0b"), "`id` holds a control character"),
            ("subject", json!("\u{85}"), "`subject` holds a control character"),
            ("source", json!("é".repeat(257)), "`source` should have at most 512 bytes"),
            ("subject", json!("s".repeat(513)), "`subject` should have at most 512 bytes"),
            ("time", json!("9999-12-31T23:59:59-01:00"), "`time` should be within the years 0 to 9999 in UTC"),
            ("time", json!("0000-01-01T00:00:00+01:00"), "`time` should be within the years 0 to 9999 in UTC"),
            ("datacontenttype", json!("text/xml"), "`datacontenttype` should be application/json"),
            ("time", json!(null), "`time` is missing, and without a UUID v7 as `id` the event has no key"),
        ] {
            let mut bad = good.clone();
            bad[attribute] = value;
            assert_eq!(Envelope::read(&bad.to_string()).unwrap_err().to_string(), want);
        }
        let mut longest = good.clone();
        longest["subject"] = json!("s".repeat(512));
        assert!(Envelope::read(&longest.to_string()).is_ok());
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove("data");
        assert_eq!(Envelope::read(&bad.to_string()).unwrap_err(), EnvelopeError::Data);
        let mut bad = good;
        bad.as_object_mut().unwrap().remove("schemaversion");
        let error = Envelope::read(&bad.to_string()).unwrap_err();
        let EnvelopeError::Unreadable(inner) = error else { panic!("{error:?}") };
        assert!(inner.to_string().starts_with("missing field `schemaversion`"), "{inner}");
    }
}
