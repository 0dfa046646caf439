//! What may be shown of a payload.

use serde_json::Value;

use crate::{Envelope, SchemaEntry};

/// How a field may be shown, from `x-classification` in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classification {
    Open,
    Pii,
    Secret,
    /// The schema does not know or does not class the field, so nobody has said that it may be shown.
    Unclassified,
}

impl Classification {
    fn of(schema: &Value) -> Self {
        match schema.get("x-classification").and_then(Value::as_str) {
            Some("open") => Self::Open,
            Some("pii") => Self::Pii,
            Some("secret") => Self::Secret,
            None | Some(_) => Self::Unclassified,
        }
    }
}

/// Replaces what must not be shown in a payload by its class: objects and lists part by part. A payload of a type or
/// version that is not known here is replaced whole.
pub fn redact(event_type: &str, version: u32, data: &Value) -> Value {
    match SchemaEntry::find(event_type, version) {
        Some(entry) if data.is_object() => shown(&entry.json_schema(), data),
        _ => hidden("unclassified"),
    }
}

impl Envelope {
    /// The event as it may be shown: its attributes are open, of its payload what is classed so.
    pub fn redacted(&self) -> Value {
        let data = serde_json::from_str(self.data.get()).unwrap_or(Value::Null);
        let mut shown = serde_json::to_value(self).unwrap_or(Value::Null);
        shown["data"] = redact(&self.event_type, self.schemaversion, &data);
        shown
    }
}

fn shown(schema: &Value, value: &Value) -> Value {
    match (Classification::of(schema), value) {
        (Classification::Pii, _) => hidden("pii"),
        (Classification::Secret, _) => hidden("secret"),
        (_, Value::Object(fields)) => match schema.get("properties") {
            Some(known) => {
                let part = |(name, value): (&String, &Value)| match known.get(name) {
                    Some(field) => (name.clone(), shown(field, value)),
                    None => (name_of_unknown(name), hidden("unclassified")),
                };
                Value::Object(fields.iter().map(part).collect())
            }
            None => hidden("unclassified"),
        },
        (_, Value::Array(items)) => match schema.get("items") {
            Some(each) => items.iter().map(|item| shown(each, item)).collect(),
            None => hidden("unclassified"),
        },
        (Classification::Open, scalar) => scalar.clone(),
        (Classification::Unclassified, _) => hidden("unclassified"),
    }
}

/// A name that nobody gave a field may say as much as a value; one of a plain word helps to see what came.
fn name_of_unknown(name: &str) -> String {
    let is_plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphabetic());
    if is_plain { name.to_owned() } else { "[redacted: unclassified]".to_owned() }
}

fn hidden(class: &str) -> Value {
    Value::from(format!("[redacted: {class}]"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_shown_that_nobody_classified() {
        let data = json!({"userId":"u","email":"ada@example.com","shoeSize":43});
        let shown = redact("user.created", 1, &data);
        assert_eq!(shown, json!({"userId":"u","email":"[redacted: pii]","shoeSize":"[redacted: unclassified]"}));
        assert_eq!(redact("user.created", 7, &data), json!("[redacted: unclassified]"));
        assert_eq!(redact("user.exploded", 1, &data), json!("[redacted: unclassified]"));
        assert_eq!(redact("user.created", 1, &json!("ada@example.com")), json!("[redacted: unclassified]"));
    }

    #[test]
    fn a_name_that_the_schema_does_not_list_is_shown_only_where_it_is_a_plain_word() {
        let data = json!({"ada@example.com": 1, "born 1815": 2, "nickName": 3});
        let unclassified = "[redacted: unclassified]";
        assert_eq!(redact("user.created", 1, &data), json!({"nickName": unclassified, unclassified: unclassified}));
    }

    #[test]
    fn objects_and_lists_are_shown_part_by_part() {
        let schema = json!({"properties": {
            "tags": {"x-classification": "open", "items": {"x-classification": "open"}},
            "people": {"items": {"properties": {
                "role": {"x-classification": "open"},
                "name": {"x-classification": "pii"},
            }}},
            "note": {"x-classification": "open"},
            "keys": {"x-classification": "secret", "items": {"x-classification": "open"}},
        }});
        let data = json!({
            "tags": ["a", {"name": "Ada"}],
            "people": [{"role": "user", "name": "Ada", "born": 1815}, "Ada"],
            "note": {"name": "Ada"},
            "keys": ["k"],
        });
        let unclassified = "[redacted: unclassified]";
        assert_eq!(
            shown(&schema, &data),
            json!({
                "tags": ["a", unclassified],
                "people": [{"role": "user", "name": "[redacted: pii]", "born": unclassified}, unclassified],
                "note": unclassified,
                "keys": "[redacted: secret]",
            })
        );
    }

    #[test]
    fn an_open_field_shows_what_is_open_only() {
        let data = json!({"source": {"email": "ada@example.com"}, "roles": ["user", ["ada"]], "price": 5});
        let unclassified = "[redacted: unclassified]";
        assert_eq!(
            redact("user.created", 2, &data),
            json!({"source": unclassified, "roles": ["user", unclassified], "price": unclassified})
        );
        let price = json!({"price": {"amountMinor": 5, "currency": "EUR", "buyer": "Ada"}});
        let shown = json!({"price": {"amountMinor": 5, "currency": "EUR", "buyer": unclassified}});
        assert_eq!(redact("product.created", 1, &price), shown);
    }
}
