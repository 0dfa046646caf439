//! The contracts as they are published: golden schemas, their lock, their examples, and what readers make of both.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod decoding;
mod examples;
mod released;
mod upcasting;

use std::path::PathBuf;

use jsonschema::Validator;
use schemas::SchemaEntry;
use serde_json::{Value, value::RawValue};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Judges by the JSON Schema, formats included. An address is judged by its pattern: what `email` as a format allows
/// differs from one validator to the next.
fn validator(entry: &SchemaEntry) -> Validator {
    let options = jsonschema::options().should_validate_formats(true).with_format("email", |_: &str| true);
    options.build(&entry.json_schema()).unwrap()
}

fn raw(data: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).unwrap()
}
