//! The largest event that a schema allows fits into a message.

use schemas::{Envelope, SchemaEntry, Sequence, all_schemas, event_id};
use serde_json::Value;
use time::macros::datetime;

use crate::raw;

/// Of SNS and SQS, for a message with its attributes.
const LIMIT: usize = 256 * 1024;
/// Of SQS, for a raw delivery.
const MAX_ATTRIBUTES: usize = 10;
/// No control character but a line feed is allowed in any text, so no character takes more than four bytes, escaped
/// ones (`\n`, `\"`, `\\`) included.
const BYTES_PER_CHARACTER: usize = 4;

/// No payload that `schema` allows is longer than this in JSON, fields that nobody knows aside.
fn bound(entry: &SchemaEntry, path: &str, schema: &Value) -> usize {
    let number = |keyword: &str| {
        let number = schema[keyword].as_u64();
        number.unwrap_or_else(|| panic!("{path} of {} has no {keyword}", entry.title())) as usize
    };
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| word.to_string().len()).max().unwrap();
    }
    match schema["type"].as_str().unwrap() {
        "object" => {
            let fields = schema["properties"].as_object().unwrap();
            let field = |(name, field): (&String, &Value)| {
                name.len() + r#""":,"#.len() + bound(entry, &format!("{path}/{name}"), field)
            };
            "{}".len() + fields.iter().map(field).sum::<usize>()
        }
        "array" => {
            "[]".len() + number("maxItems") * (",".len() + bound(entry, &format!("{path}/[]"), &schema["items"]))
        }
        // Version 1 of user.created was released without these; ids and times have a length, and the producer's name
        // is the producer's own.
        "string" if entry.title() == "user.created v1" && path != "/email" => 64,
        "string" => r#""""#.len() + number("maxLength") * BYTES_PER_CHARACTER,
        "integer" => number("maximum").to_string().len(),
        "boolean" => "false".len(),
        other => panic!("{path} of {} is a {other}, which has no bound here", entry.title()),
    }
}

#[test]
fn the_largest_event_of_every_type_fits_into_a_message() {
    let now = datetime!(2026-01-02 03:04:05.678901234 UTC);
    for entry in all_schemas() {
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: event_id(now).to_string(),
            source: entry.producer.to_owned(),
            event_type: entry.event_type.to_string(),
            subject: Some(event_id(now).to_string()),
            time: Some(now),
            datacontenttype: Some("application/json".to_owned()),
            dataschema: Some(format!("urn:waypost:{}:{}", entry.event_type, entry.version)),
            schemaversion: entry.version,
            sequence: Some(Sequence::after(None, now)),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            data: raw(&Value::Null),
        };
        let body = serde_json::to_string(&envelope).unwrap().len() + bound(entry, "", &entry.json_schema());
        let version = entry.version.to_string();
        let attributes = [("type", entry.event_type.as_str()), ("schemaversion", &version), ("source", entry.producer)];
        assert!(attributes.len() <= MAX_ATTRIBUTES);
        let attributes: usize = attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        assert!(body + attributes <= LIMIT, "{} can take {} bytes", entry.title(), body + attributes);
    }
}
