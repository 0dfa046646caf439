//! Bytes as a queue might hand them out, all the way to a typed event of user-service: nothing panics, and no error
//! quotes what is personal.
//!
//! Everything here is what a worker and its tools do with a message: unwrap, read, judge, redact. The fuzz target calls
//! it, and so does a test of the spine, which keeps it from going stale.

use std::error::Error;

use mutants::{GUARDED, told};
use schemas::{Envelope, redact};
use serde_json::Value;
use time::{OffsetDateTime, macros::datetime};
use worker::{Consumer, RejectedAs};

const OLDEST: OffsetDateTime = datetime!(2000-01-01 0:00 UTC);
const NOW: OffsetDateTime = datetime!(2100-01-01 0:00 UTC);
/// Stands for personal data: no error says it of its own accord.
const CANARY: &str = "qzjxkvwq";

/// Panics where the bytes show a mistake.
pub fn check(bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    let consumer = user_service::declared();
    let unwrapped = messaging::unwrap_notification(body);
    // Its errors are not looked into: a fuzzer would soon find a body that holds the words of an error.
    let _ = judge(&consumer, unwrapped.as_str());
    // In fields that are personal or secret; and in all, since what is personal may stand in the wrong one.
    for fields in [&GUARDED[..], &[]] {
        let Some(marked) = with_canary(unwrapped.as_str(), fields) else { continue };
        if let Err(error) = judge(&consumer, &marked) {
            let told = told(&*error);
            assert!(!told.contains(CANARY), "`{told}` quotes {marked}");
        }
        if !fields.is_empty() {
            assert_hides(&marked);
        }
    }
}

fn judge(consumer: &Consumer, body: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (envelope, key) = Envelope::read(body)?;
    let _ = envelope.trace_id();
    let written = serde_json::to_string(&envelope).expect("what was read can be written");
    let (_, again) = Envelope::read(&written).expect("what was written can be read");
    assert_eq!(key, again, "{written} is no longer the event that {body} was");
    worker::preflight(consumer, OLDEST, NOW, &envelope, key).map_err(|refusal| {
        // The worker's fence would hide it.
        assert!(refusal.reason != RejectedAs::ReaderPanicked, "the reader panics on {body}");
        refusal.error
    })
}

/// What is shown of an event shows nothing that is personal.
fn assert_hides(body: &str) {
    let Ok((envelope, _)) = Envelope::read(body) else { return };
    let Ok(data) = serde_json::from_str(envelope.data.get()) else { return };
    let shown = redact(&envelope.event_type, envelope.schemaversion, &data).to_string();
    assert!(!shown.contains(CANARY), "{shown} shows {body}");
}

/// The same event with the canary in these fields of its payload, or in the whole of it; none where the input holds the
/// canary already, or has no such field.
fn with_canary(body: &str, fields: &[&str]) -> Option<String> {
    let mut event: Value = serde_json::from_str(body).ok().filter(|_| !body.contains(CANARY))?;
    let data = event.get_mut("data")?;
    for field in fields {
        if let Some(value) = data.get_mut(field) {
            mark(value);
        }
    }
    if fields.is_empty() {
        mark(data);
    }
    Some(event.to_string()).filter(|text| text.contains(CANARY))
}

/// At any depth, names included.
fn mark(value: &mut Value) {
    match value {
        Value::String(text) => text.insert_str(0, CANARY),
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Object(fields) => {
            fields.values_mut().for_each(mark);
            fields.insert(CANARY.to_owned(), Value::from(CANARY));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
