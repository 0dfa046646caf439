//! Every published schema, and what may be shown of a payload.

use schemars::Schema;
use serde_json::Value;

use crate::{Event, EventType, UserCreatedV1};

/// One version of one event.
#[derive(Debug, Clone, Copy)]
pub struct SchemaEntry {
    pub event_type: EventType,
    pub version: u32,
    schema: fn() -> Schema,
}

/// How a field may be shown, from `x-classification` in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classification {
    Open,
    Pii,
    Secret,
    /// The schema does not know or does not class the field, so nobody has said that it may be shown.
    Unclassified,
}

const fn entry<E: Event>() -> SchemaEntry {
    SchemaEntry { event_type: E::TYPE, version: E::VERSION, schema: || schemars::schema_for!(E) }
}

const ALL: &[SchemaEntry] = &[entry::<UserCreatedV1>()];

/// Every version of every event that was ever published, oldest first within a type.
pub fn all() -> &'static [SchemaEntry] {
    ALL
}

impl SchemaEntry {
    pub fn json_schema(&self) -> Value {
        (self.schema)().to_value()
    }

    fn classify(schema: &Value, field: &str) -> Classification {
        let Some(property) = schema.get("properties").and_then(|all| all.get(field)) else {
            return Classification::Unclassified;
        };
        match property.get("x-classification").and_then(Value::as_str) {
            Some("open") => Classification::Open,
            Some("pii") => Classification::Pii,
            Some("secret") => Classification::Secret,
            None | Some(_) => Classification::Unclassified,
        }
    }
}

/// Replaces what must not be shown in a payload by its class. A payload of a type or version that is not known here is
/// replaced whole.
pub fn redact(event_type: &str, version: u32, data: &Value) -> Value {
    let entry = ALL.iter().find(|entry| entry.event_type.as_str() == event_type && entry.version == version);
    let (Some(entry), Value::Object(fields)) = (entry, data) else {
        return Value::from("[redacted: unclassified]");
    };
    let schema = entry.json_schema();
    let shown = fields.iter().map(|(name, value)| {
        let value = match SchemaEntry::classify(&schema, name) {
            Classification::Open => value.clone(),
            Classification::Pii => Value::from("[redacted: pii]"),
            Classification::Secret => Value::from("[redacted: secret]"),
            Classification::Unclassified => Value::from("[redacted: unclassified]"),
        };
        (name.clone(), value)
    });
    Value::Object(shown.collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn golden_file(entry: &SchemaEntry) -> PathBuf {
        let name = format!("golden/{}/v{}.json", entry.event_type, entry.version);
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    /// `UPDATE_GOLDEN=1 cargo test -p waypost-schemas` writes the files anew.
    #[test]
    fn a_published_schema_does_not_change_unseen() {
        for entry in all() {
            let path = golden_file(entry);
            let now = serde_json::to_string_pretty(&entry.json_schema()).unwrap() + "\n";
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &now).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(golden, now, "{} is not what the code says", path.display());
        }
    }

    #[test]
    fn every_golden_file_belongs_to_a_schema() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
        let known: Vec<_> = all().iter().map(golden_file).collect();
        for folder in std::fs::read_dir(root).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                assert!(known.contains(&file), "{} belongs to no schema", file.display());
            }
        }
    }

    #[test]
    fn the_schema_and_the_struct_agree_on_what_is_valid() {
        use crate::Newest;
        let validator = jsonschema::validator_for(&entry::<UserCreatedV1>().json_schema()).unwrap();
        let good = json!({"userId":"019ab6a1-0000-7000-8000-000000000000","email":"ada@example.com",
            "timestamp":"2026-01-02T03:04:05.678Z","source":"auth-service"});
        let mut samples = vec![good.clone()];
        for field in ["userId", "email", "timestamp", "source"] {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(field);
            samples.push(without);
            let mut number = good.clone();
            number[field] = json!(5);
            samples.push(number);
        }
        for email in ["", "@", "ada", "a@b@c", "a b@c", "@example.com"] {
            let mut bad = good.clone();
            bad["email"] = json!(email);
            samples.push(bad);
        }
        for (at, sample) in samples.iter().enumerate() {
            let raw = serde_json::value::to_raw_value(sample).unwrap();
            let read = UserCreatedV1::read(1, &raw).is_ok();
            assert_eq!(read, at == 0, "{sample}");
            assert_eq!(validator.is_valid(sample), read, "{sample}");
        }
    }

    #[test]
    fn every_field_of_every_schema_is_classed() {
        for entry in all() {
            let schema = entry.json_schema();
            for field in schema["properties"].as_object().unwrap().keys() {
                let class = SchemaEntry::classify(&schema, field);
                assert_ne!(class, Classification::Unclassified, "{field} of {}", entry.event_type);
            }
        }
    }

    #[test]
    fn nothing_is_shown_that_nobody_classified() {
        let data = json!({"userId":"u","email":"ada@example.com","shoeSize":43});
        let shown = redact("user.created", 1, &data);
        assert_eq!(shown, json!({"userId":"u","email":"[redacted: pii]","shoeSize":"[redacted: unclassified]"}));
        assert_eq!(redact("user.created", 7, &data), json!("[redacted: unclassified]"));
        assert_eq!(redact("user.exploded", 1, &data), json!("[redacted: unclassified]"));
    }
}
