//! How ids and times stand in a payload. `#[serde(with = "Id")]` is followed by serde and by schemars.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserializer, Serializer,
    de::{Error, Visitor},
    ser,
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// `#[serde(with = "Id")]` on a [`Uuid`]: in its hyphenated spelling. Classed `open`.
pub struct Id;

/// `#[serde(with = "Instant")]` on an [`OffsetDateTime`]: in RFC 3339, in UTC, to the nanosecond at most. Classed `open`.
pub struct Instant;

/// A moment in RFC 3339, in any offset that leaves it within the years 0 to 9999 in UTC.
pub(crate) struct AnyOffset;

impl Id {
    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&id.hyphenated())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        deserializer.deserialize_str(Parsed {
            expected: "a UUID in its hyphenated spelling",
            parse: |text| if text.len() == 36 { Uuid::try_parse(text).ok() } else { None },
        })
    }
}

impl Instant {
    pub fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        let utc = time.checked_to_offset(UtcOffset::UTC);
        let text = utc.and_then(|time| time.format(&Rfc3339).ok());
        serializer.serialize_str(&text.ok_or_else(|| ser::Error::custom("a time beyond the years 0 to 9999"))?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
        let expected = "a date and time in RFC 3339, in UTC with `Z`, with at most nine decimals";
        deserializer.deserialize_str(Parsed { expected, parse: utc })
    }
}

impl AnyOffset {
    pub(crate) fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        Instant::serialize(time, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
        deserializer.deserialize_str(Parsed {
            expected: "a date and time in RFC 3339, within the years 0 to 9999 in UTC",
            parse: |text| {
                let time = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
                (time.year() >= 0).then_some(time)
            },
        })
    }
}

fn utc(text: &str) -> Option<OffsetDateTime> {
    let bytes = text.as_bytes();
    // RFC 3339 has leap seconds, small letters and a space for the T; here one moment has one spelling but for zeros.
    let shaped = matches!(bytes.len(), 20..=30)
        && bytes[10] == b'T'
        && bytes[17] < b'6'
        && bytes.last().is_some_and(|b| *b == b'Z');
    if shaped { OffsetDateTime::parse(text, &Rfc3339).ok() } else { None }
}

/// Reads a text without copying it.
struct Parsed<T> {
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::custom(format_args!("not valid, expected {}", self.expected)))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uuid",
            "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            "maxLength": 36,
            "x-classification": "open",
        })
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": concat!(
                "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
                r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$",
            ),
            "maxLength": 30,
            "x-classification": "open",
        })
    }
}
