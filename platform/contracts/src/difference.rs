//! What two schemas say differently, field by field.
//!
//! This only tells; whether a difference breaks anybody is for others to judge. Objects and lists are compared part by
//! part (`properties`, `required`, `items`); every other keyword is compared as a whole.

use std::{collections::BTreeSet, fmt};

use serde_json::{Map, Value};

/// Something that the newer schema says of one part of the payload, and the older one doesn't, or the other way round.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SchemaDifference {
    /// Of the part within the payload, with `*` for each item of a list: `/roles/*`. Empty for the whole.
    pub pointer: String,
    #[serde(flatten)]
    pub kind: DifferenceKind,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DifferenceKind {
    /// A field that the older schema doesn't know. What is within it is not told apart.
    Added { required: bool },
    /// A field that the newer schema doesn't know any more.
    Removed { required: bool },
    /// A keyword of a part that both know; `null` where it is not there. A field that may be left out in only one of
    /// them has `required` with `true` and `false`, at its own pointer.
    Changed { keyword: String, from: Value, to: Value },
}

/// Keywords that tell people something, and nothing to a validator.
const ANNOTATIONS: [&str; 9] =
    ["$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated", "x-since"];

impl SchemaDifference {
    /// Whether the same payloads are valid with and without it, and may be shown to the same people.
    pub fn is_annotation(&self) -> bool {
        matches!(&self.kind, DifferenceKind::Changed { keyword, .. } if ANNOTATIONS.contains(&keyword.as_str()))
    }
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "the payload" } else { &self.pointer };
        let optional = |required: &bool| if *required { "required" } else { "optional" };
        match &self.kind {
            DifferenceKind::Added { required } => write!(f, "{pointer} is new, {}", optional(required)),
            DifferenceKind::Removed { required } => write!(f, "{pointer} is gone, was {}", optional(required)),
            DifferenceKind::Changed { keyword, from: Value::Null, to } => {
                write!(f, "{pointer} has {keyword} {to} now")
            }
            DifferenceKind::Changed { keyword, from, to: Value::Null } => {
                write!(f, "{pointer} has no {keyword} any more, was {from}")
            }
            DifferenceKind::Changed { keyword, from, to } => {
                write!(f, "{pointer} has another {keyword}: {from} → {to}")
            }
        }
    }
}

/// In the order of the pointers: a part before what is within it, and what became of a field as a whole before the
/// keywords of the next.
pub fn schema_differences(from: &Value, to: &Value) -> Vec<SchemaDifference> {
    let mut found = Vec::new();
    compare("", from, to, &mut found);
    found
}

fn compare(pointer: &str, from: &Value, to: &Value, found: &mut Vec<SchemaDifference>) {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else {
        // `true` and `false` are schemas as well.
        if from != to {
            found.push(changed(pointer, "schema", from, to));
        }
        return;
    };
    let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for keyword in keywords {
        if matches!(keyword.as_str(), "properties" | "required" | "items") {
            continue;
        }
        let (from, to) = (value(old, keyword), value(new, keyword));
        if meaning(keyword, from) != meaning(keyword, to) {
            found.push(changed(pointer, keyword, from, to));
        }
    }
    compare_fields(pointer, old, new, found);
    match (old.get("items"), new.get("items")) {
        (Some(from), Some(to)) => compare(&format!("{pointer}/*"), from, to, found),
        (None, None) => {}
        (from, to) => {
            found.push(changed(pointer, "items", from.unwrap_or(&Value::Null), to.unwrap_or(&Value::Null)));
        }
    }
}

fn compare_fields(
    pointer: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    found: &mut Vec<SchemaDifference>,
) {
    let (old_fields, new_fields) = (fields(old), fields(new));
    let names: BTreeSet<&String> = old_fields.iter().chain(&new_fields).flat_map(|fields| fields.keys()).collect();
    for name in names {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let (was_required, is_required) = (requires(old, name), requires(new, name));
        let was = old_fields.and_then(|fields| fields.get(name));
        let is = new_fields.and_then(|fields| fields.get(name));
        match (was, is) {
            (None, Some(_)) => {
                found.push(SchemaDifference { pointer, kind: DifferenceKind::Added { required: is_required } });
            }
            (Some(_), None) => {
                found.push(SchemaDifference { pointer, kind: DifferenceKind::Removed { required: was_required } });
            }
            (Some(from), Some(to)) => {
                if was_required != is_required {
                    found.push(changed(&pointer, "required", &was_required.into(), &is_required.into()));
                }
                compare(&pointer, from, to, found);
            }
            (None, None) => {}
        }
    }
}

fn changed(pointer: &str, keyword: &str, from: &Value, to: &Value) -> SchemaDifference {
    let kind = DifferenceKind::Changed { keyword: keyword.to_owned(), from: from.clone(), to: to.clone() };
    SchemaDifference { pointer: pointer.to_owned(), kind }
}

fn value<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a Value {
    schema.get(keyword).unwrap_or(&Value::Null)
}

fn fields(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

fn requires(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|required| required.iter().any(|each| each == name))
}

/// `enum` and `type` are sets, in any order.
fn meaning(keyword: &str, value: &Value) -> Value {
    match value {
        Value::Array(words) if matches!(keyword, "enum" | "type") => {
            let sorted: BTreeSet<String> = words.iter().map(Value::to_string).collect();
            sorted.into_iter().collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(from: &Value, to: &Value) -> Vec<String> {
        schema_differences(from, to).iter().map(SchemaDifference::to_string).collect()
    }

    #[test]
    fn equal_schemas_differ_in_nothing_whatever_the_order_of_their_words() {
        let one = json!({"type": "object", "required": ["a", "b"],
            "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": ["string", "null"]}}});
        let other = json!({"type": "object", "required": ["b", "a"],
            "properties": {"a": {"enum": ["y", "x"]}, "b": {"type": ["null", "string"]}}});
        assert_eq!(told(&one, &one), Vec::<String>::new());
        assert_eq!(told(&one, &other), Vec::<String>::new());
    }

    #[test]
    fn fields_come_and_go_at_any_depth() {
        let from = json!({"properties": {
            "gone": {"type": "string"}, "price": {"properties": {"old": {}}, "required": ["old"]}}});
        let to = json!({"required": ["new"], "properties": {
            "new": {"type": "string"}, "price": {"properties": {"a/b": {}}}}});
        assert_eq!(
            told(&from, &to),
            [
                "/gone is gone, was optional",
                "/new is new, required",
                "/price/a~1b is new, optional",
                "/price/old is gone, was required",
            ]
        );
    }

    #[test]
    fn keywords_are_told_with_both_values() {
        let from = json!({"properties": {
            "name": {"maxLength": 9, "pattern": "a"}, "roles": {"items": {"type": "string"}}, "loose": {}}});
        let to = json!({"required": ["name"], "properties": {
            "name": {"maxLength": 5, "minLength": 1}, "roles": {"items": {"type": "integer"}}, "loose": true}});
        assert_eq!(
            told(&from, &to),
            [
                "/loose has another schema: {} → true",
                "/name has another required: false → true",
                "/name has another maxLength: 9 → 5",
                "/name has minLength 1 now",
                r#"/name has no pattern any more, was "a""#,
                r#"/roles/* has another type: "string" → "integer""#,
            ]
        );
    }

    #[test]
    fn a_list_that_says_nothing_of_its_items_any_more_is_a_change() {
        let from = json!({"properties": {"roles": {"items": {"type": "string"}}}});
        let to = json!({"properties": {"roles": {}}});
        assert_eq!(told(&from, &to), [r#"/roles has no items any more, was {"type":"string"}"#]);
    }

    #[test]
    fn words_for_people_are_told_apart_and_a_class_is_none() {
        let from = json!({"title": "a v1", "properties": {"name": {"x-classification": "open", "description": "A."}}});
        let to = json!({"title": "a v2", "properties": {"name": {"x-classification": "pii", "description": "B."}}});
        let differences = schema_differences(&from, &to);
        let told: Vec<_> = differences.iter().map(|each| (each.to_string(), each.is_annotation())).collect();
        assert_eq!(
            told,
            [
                (r#"the payload has another title: "a v1" → "a v2""#.to_owned(), true),
                (r#"/name has another description: "A." → "B.""#.to_owned(), true),
                (r#"/name has another x-classification: "open" → "pii""#.to_owned(), false),
            ]
        );
    }

    #[test]
    fn the_versions_of_user_created_differ_as_their_note_says() {
        let schema = |version| schemas::SchemaEntry::find("user.created", version).unwrap().json_schema();
        let differences = schema_differences(&schema(1), &schema(2));
        let added: Vec<_> = differences
            .iter()
            .filter_map(|each| match each.kind {
                DifferenceKind::Added { required } => Some((each.pointer.as_str(), required)),
                _ => None,
            })
            .collect();
        assert_eq!(added, [("/displayName", false), ("/emailVerified", true), ("/roles", true), ("/status", true)]);
        let json = serde_json::to_value(&differences).unwrap();
        let bound = json!({"pointer": "/source", "kind": "changed", "keyword": "maxLength", "from": null, "to": 64});
        assert!(json.as_array().unwrap().contains(&bound), "{json}");
    }
}
