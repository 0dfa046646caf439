//! Examples, judged and made fit to be shown.
//!
//! A valid one must be valid by its schema and by its struct, an invalid one by neither. What a schema classes as secret
//! is replaced before anything is shown, also where it was made up: nobody should learn from a catalog to paste one.

use std::collections::BTreeMap;

use jsonschema::Validator;
use schemas::{Envelope, Example, Header, SchemaEntry, Sequence, UnreadableJson, all_schemas, redact};
use serde_json::{Value, json, value::RawValue};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::problems::{Problem, ProblemKind};

/// Stands for a secret. It is of the shape of one, so that the example stays valid.
const SECRET: &str = "redacted";

/// The example of a `traceparent` in the W3C's recommendation.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The valid examples of every version.
pub struct Shown(BTreeMap<(&'static str, u32), Vec<ShownExample>>);

pub struct ShownExample {
    pub name: &'static str,
    /// The payload, as its file has it.
    pub payload: String,
    /// The whole message body.
    pub envelope: Value,
}

impl Shown {
    pub fn all(problems: &mut Vec<Problem>) -> Self {
        let mut shown = BTreeMap::new();
        for entry in all_schemas() {
            let of_version: &mut Vec<_> = shown.entry((entry.event_type.as_str(), entry.version)).or_default();
            let validator = validator(entry);
            for example in entry.examples() {
                match show(entry, &validator, &example) {
                    Ok(shown) => of_version.extend(shown),
                    Err(what) => {
                        let kind = if example.valid { "valid" } else { "invalid" };
                        let (event, version) = (entry.event_type, entry.version);
                        let place = format!("schemas/examples/{event}/v{version}/{kind}/{}.json", example.name);
                        problems.push(Problem::new(ProblemKind::Example, place, what));
                    }
                }
            }
        }
        Self(shown)
    }

    /// In the order of their names.
    pub fn of(&self, entry: &SchemaEntry) -> &[ShownExample] {
        self.0.get(&(entry.event_type.as_str(), entry.version)).map_or(&[], Vec::as_slice)
    }

    /// The one that shows best what the event looks like.
    pub fn best(&self, entry: &SchemaEntry) -> Option<&ShownExample> {
        let all = self.of(entry);
        all.iter().find(|example| example.name == "plain").or(all.first())
    }
}

/// What is to be shown of it; nothing of an invalid one, which is for tests, or of one with a field that nobody classed.
fn show(entry: &SchemaEntry, validator: &Validator, example: &Example) -> Result<Option<ShownExample>, String> {
    let data: Value = serde_json::from_str(example.text).map_err(|error| format!("is not JSON: {error}"))?;
    judge(entry, validator, &data, example.valid)?;
    if !example.valid {
        return Ok(None);
    }
    // A reader has to pass over a field that the schema doesn't know; nobody said that it may be shown.
    let Some(fit) = without_secrets(&data, &redact(entry.event_type.as_str(), entry.version, &data)) else {
        return Ok(None);
    };
    let payload = if fit == data { example.text.trim_end().to_owned() + "\n" } else { pretty(&fit) };
    judge(entry, validator, &fit, true).map_err(|what| format!("with its secret replaced by `{SECRET}` it {what}"))?;
    let envelope = envelope(entry, &fit).map_err(|error| error.to_string())?;
    let mut envelope = serde_json::to_value(envelope).map_err(|error| error.to_string())?;
    // As it was written by hand: another offset, say, is part of what it shows.
    envelope["data"] = fit;
    Ok(Some(ShownExample { name: example.name, payload, envelope }))
}

/// What `email` allows as a format differs from one validator to the next; its pattern says it.
fn validator(entry: &SchemaEntry) -> Validator {
    let options = jsonschema::options().should_validate_formats(true).with_format("email", |_: &str| true);
    options.build(&entry.json_schema()).expect("what is derived from a struct is a schema")
}

fn judge(entry: &SchemaEntry, validator: &Validator, data: &Value, valid: bool) -> Result<(), String> {
    let by_schema: Vec<_> = validator.iter_errors(data).map(|error| location(&error)).collect();
    let by_struct = entry.check(&raw(data));
    match (valid, by_schema.is_empty(), by_struct) {
        (true, true, Ok(())) | (false, false, Err(_)) => Ok(()),
        (true, false, _) => Err(format!("is not valid by its schema: {}", by_schema.join(", "))),
        (true, true, Err(error)) => Err(format!("is not valid by its struct: {error}")),
        (false, true, _) => Err("is valid by its schema, and should not be".to_owned()),
        (false, false, Ok(())) => Err("is valid by its struct, and should not be".to_owned()),
    }
}

/// Where the error is and which keyword says so, without the value.
fn location(error: &jsonschema::ValidationError<'_>) -> String {
    let (place, rule) = (error.instance_path().to_string(), error.schema_path().to_string());
    format!("`{}` breaks {rule}", if place.is_empty() { "/" } else { &place })
}

/// `redacted` tells what of it is what; nothing where something of it is not classed.
fn without_secrets(data: &Value, redacted: &Value) -> Option<Value> {
    match (data, redacted) {
        (_, Value::String(mark)) if mark == "[redacted: secret]" => Some(SECRET.into()),
        (_, Value::String(mark)) if mark == "[redacted: unclassified]" => None,
        (Value::Object(fields), Value::Object(marks)) => {
            let part = |(name, value): (&String, &Value)| Some((name.clone(), without_secrets(value, &marks[name])?));
            fields.iter().map(part).collect::<Option<_>>().map(Value::Object)
        }
        (Value::Array(items), Value::Array(marks)) => {
            items.iter().zip(marks).map(|(item, mark)| without_secrets(item, mark)).collect()
        }
        (other, _) => Some(other.clone()),
    }
}

fn envelope(entry: &SchemaEntry, data: &Value) -> Result<Envelope, UnreadableJson> {
    let time = data["timestamp"].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(UtcOffset::UTC);
    let header = Header {
        id: Uuid::from_u128(0x019a_b6a1_3c00_7000_8000_0000_0000_e7e7),
        source: entry.producer,
        time,
        sequence: Sequence::after(None, time),
        traceparent: Some(TRACEPARENT.to_owned()),
    };
    entry.wrap(&raw(data), header)
}

fn raw(data: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).expect("a JSON value can be written")
}

fn pretty(data: &Value) -> String {
    serde_json::to_string_pretty(data).expect("a JSON value can be written") + "\n"
}

/// An envelope for people: attributes in the order of the specification, the payload as its file has it.
pub fn envelope_text(example: &ShownExample) -> String {
    const ORDER: [&str; 11] = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "schemaversion",
        "sequence",
        "traceparent",
    ];
    let attributes =
        ORDER.iter().filter_map(|name| Some(format!("  {}: {},\n", json!(name), example.envelope.get(name)?)));
    let payload = example.payload.trim_end().replace('\n', "\n  ");
    format!("{{\n{}  \"data\": {payload}\n}}", attributes.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: &str, version: u32, valid: bool, text: &'static str) -> Result<Option<ShownExample>, String> {
        let entry = SchemaEntry::find(event, version).unwrap();
        show(entry, &validator(entry), &Example { valid, name: "plain", text })
    }

    const DELETED: &str = r#"{"userId":"019ab6a1-3c00-7000-8000-00000000a11c","timestamp":"2026-01-02T03:04:05Z",
        "source":"auth-service","erasureId":"019ab6a1-3c00-7000-8000-00000000e0e0"}"#;

    #[test]
    fn an_example_that_is_not_what_its_folder_says_is_told_with_the_field() {
        let broken: &'static str = r#"{"userId":"7","timestamp":"2026-01-02T03:04:05Z","source":"auth-service",
            "erasureId":"019ab6a1-3c00-7000-8000-00000000e0e0"}"#;
        let error = shown("user.deleted", 1, true, broken).err().unwrap();
        assert!(error.starts_with("is not valid by its schema: `/userId` breaks /properties/userId/"), "{error}");
        assert!(shown("user.deleted", 1, false, broken).unwrap().is_none());
        let error = shown("user.deleted", 1, false, DELETED).err().unwrap();
        assert_eq!(error, "is valid by its schema, and should not be");
        let error = shown("user.deleted", 1, true, "{").err().unwrap();
        assert!(error.starts_with("is not JSON"), "{error}");
    }

    #[test]
    fn a_field_that_nobody_classed_is_not_shown() {
        let text = r#"{"userId":"019ab6a1-3c00-7000-8000-00000000a11c","timestamp":"2026-01-02T03:04:05Z",
            "source":"auth-service","erasureId":"019ab6a1-3c00-7000-8000-00000000e0e0","shoeSize":43}"#;
        assert!(shown("user.deleted", 1, true, text).unwrap().is_none());
        assert!(shown("user.deleted", 1, true, DELETED).unwrap().is_some());
    }

    #[test]
    fn no_secret_is_shown_and_the_example_stays_valid() {
        let mut problems = Vec::new();
        let all = Shown::all(&mut problems);
        assert_eq!(problems, []);
        let entry = SchemaEntry::newest("user.password.reset.requested").unwrap();
        let example = all.best(entry).unwrap();
        assert_eq!(example.envelope["data"]["tokenSealed"], SECRET);
        let secret: Value = serde_json::from_str(entry.examples().find(|each| each.valid).unwrap().text).unwrap();
        let secret = secret["tokenSealed"].as_str().unwrap();
        for text in [&example.payload, &example.envelope.to_string(), &envelope_text(example)] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn an_envelope_for_people_is_the_envelope() {
        let mut problems = Vec::new();
        let all = Shown::all(&mut problems);
        for entry in all_schemas() {
            for example in all.of(entry) {
                let back: Value = serde_json::from_str(&envelope_text(example)).unwrap();
                assert_eq!(back, example.envelope, "{} {}", entry.title(), example.name);
            }
        }
    }
}
