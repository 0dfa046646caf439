//! What has to fit into a limit: the fattest event into a message, as the relay publishes it and as a dead letter; and the
//! longest life of an event into the time for which it is known from its copies.

use messaging::{QueueSettings, check_sendable};
use schemas::{Envelope, SchemaEntry, Sequence, all_schemas, event_id};
use serde_json::{Value, value::to_raw_value};
use time::macros::datetime;
use worker::{EVENT_LOGS, FAILURE_ATTRIBUTE, LARGEST_REPORT};

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

/// The event with a payload of exactly so many bytes.
fn event(entry: &SchemaEntry, payload: usize) -> Envelope {
    let now = datetime!(2026-01-02 03:04:05.678901234 UTC);
    let padding = "x".repeat(payload - r#""""#.len());
    Envelope {
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
        data: to_raw_value(&padding).unwrap(),
    }
}

#[test]
fn the_fattest_event_of_every_type_fits_into_a_message_and_into_a_dead_letter() {
    for entry in all_schemas() {
        let fattest = bound(entry, "", &entry.json_schema());
        let envelope = event(entry, fattest);
        assert_eq!(envelope.data.get().len(), fattest);
        let body = serde_json::to_string(&envelope).unwrap();
        let mut message = outbox::message(&envelope.event_type, entry.version as i32, &envelope.source, body);
        assert_eq!(check_sendable(&message), Ok(()), "{}, with a payload of {fattest} bytes", entry.title());
        message.attributes.insert(FAILURE_ATTRIBUTE.to_owned(), "r".repeat(LARGEST_REPORT));
        assert_eq!(check_sendable(&message), Ok(()), "{}, dead, with a payload of {fattest} bytes", entry.title());
    }
}

#[test]
fn an_event_that_was_delayed_and_died_is_still_known_when_it_is_replayed() {
    let QueueSettings { retention, dead_letter_retention, .. } = QueueSettings::DEFAULT;
    let life = outbox::LONGEST_DELAY + retention + dead_letter_retention;
    assert!(life + time::Duration::days(2) < EVENT_LOGS.keep, "{life} leaves no time for a replay");
}
