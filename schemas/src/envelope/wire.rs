//! How an envelope stands in JSON, whoever wrote it.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::{Envelope, EnvelopeError};
use crate::Sequence;

#[derive(Deserialize)]
pub(super) struct Wire {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    time: Option<OffsetDateTime>,
    #[serde(default)]
    datacontenttype: Option<String>,
    #[serde(default)]
    dataschema: Option<String>,
    #[serde(deserialize_with = "version")]
    schemaversion: u32,
    #[serde(default)]
    sequence: Option<Sequence>,
    #[serde(default)]
    traceparent: Option<String>,
    // Not an `Option`: that would take a payload that is `null` for one that is absent.
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    /// Where a producer had bytes: the SDKs do so without asking whether they are JSON.
    #[serde(default)]
    data_base64: Option<String>,
}

impl Wire {
    pub fn into_envelope(self) -> Result<Envelope, EnvelopeError> {
        let data = match (self.data, self.data_base64) {
            (Some(data), None) => data,
            (None, Some(text)) => json_in(&text).ok_or(EnvelopeError::Base64)?,
            _ => return Err(EnvelopeError::Data),
        };
        Ok(Envelope {
            specversion: self.specversion,
            id: self.id,
            source: self.source,
            event_type: self.event_type,
            subject: self.subject,
            time: self.time,
            datacontenttype: self.datacontenttype,
            dataschema: self.dataschema,
            schemaversion: self.schemaversion,
            sequence: self.sequence,
            traceparent: self.traceparent,
            data,
        })
    }
}

fn json_in(base64: &str) -> Option<Box<RawValue>> {
    let text = String::from_utf8(BASE64_STANDARD.decode(base64).ok()?).ok()?;
    RawValue::from_string(text).ok()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// A number; or a text, which is what becomes of one where somebody passes on an extension whose type they don't know.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Version)
}

struct Version;

impl Visitor<'_> for Version {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::custom("out of range, expected a version's number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u32, E> {
        let number = text.parse().ok().filter(|number: &u32| number.to_string() == text);
        number.ok_or_else(|| E::custom("no number, expected a version's number"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(field: &str, value: Value) -> Result<Envelope, EnvelopeError> {
        let mut event = json!({"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-01-02T03:04:05Z","schemaversion":1});
        event[field] = value;
        if field == "schemaversion" {
            event["data"] = json!({});
        }
        Envelope::read(&event.to_string()).map(|(envelope, _)| envelope)
    }

    #[test]
    fn a_payload_in_base64_is_the_payload() {
        let data = read("data_base64", json!(BASE64_STANDARD.encode(r#"{"a": 1}"#))).unwrap().data;
        assert_eq!(data.get(), r#"{"a": 1}"#);
        for broken in ["e30", "%%%%", "YWxpY2VAZXhhbXBsZS5jb20=", "/w=="] {
            assert_eq!(read("data_base64", json!(broken)).unwrap_err(), EnvelopeError::Base64, "{broken}");
        }
    }

    #[test]
    fn a_payload_is_there_once() {
        assert_eq!(read("data", json!(null)).unwrap().data.get(), "null");
        assert_eq!(read("data_base64", json!(null)).unwrap_err(), EnvelopeError::Data);
        let both = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-01-02T03:04:05Z",
            "schemaversion":1,"data":{},"data_base64":"e30="}"#;
        assert_eq!(Envelope::read(both).unwrap_err(), EnvelopeError::Data);
    }

    #[test]
    fn a_version_may_be_written_as_a_text() {
        assert_eq!(read("schemaversion", json!("2")).unwrap().schemaversion, 2);
        for broken in [json!("02"), json!("+2"), json!("2.0"), json!(""), json!(-1), json!(2.5), json!(1u64 << 32)] {
            let error = read("schemaversion", broken.clone()).unwrap_err();
            let EnvelopeError::Unreadable(inner) = error else { panic!("{error:?}") };
            assert!(inner.to_string().starts_with("`schemaversion`: expected a "), "{broken}: {inner}");
        }
    }
}
