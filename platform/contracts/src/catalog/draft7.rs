//! JSON Schema 2020-12, as draft-07 says it: the dialect of AsyncAPI's schema objects, and the one that its tools check.

use serde_json::{Map, Value, json};

/// A keyword that draft-07 has no word for, or that would mean something else there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{keyword}` at `{pointer}` can't be said in draft-07")]
pub struct Unprojectable {
    /// Into the schema.
    pub pointer: String,
    pub keyword: String,
}

/// Keywords whose value is no schema and means the same in both.
const SAME: [&str; 28] = [
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "format",
    "title",
    "description",
    "default",
    "examples",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "$comment",
    "deprecated",
];

/// What `uuid` means, a format that came after draft-07. It passes over what is no text, as a format does.
const UUID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";

/// A schema that accepts and refuses the same.
pub fn draft7(schema: &Value) -> Result<Value, Unprojectable> {
    project("", schema)
}

fn project(pointer: &str, schema: &Value) -> Result<Value, Unprojectable> {
    let Value::Object(keywords) = schema else { return Ok(schema.clone()) };
    let mut projected = Map::new();
    if keywords.get("format").is_some_and(|format| format == "duration") {
        return Err(Unprojectable { pointer: format!("{pointer}/format"), keyword: "format: duration".to_owned() });
    }
    for (keyword, value) in keywords {
        let pointer = format!("{pointer}/{keyword}");
        let (name, value) = match keyword.as_str() {
            "$schema" => continue,
            // Without `prefixItems`, both drafts mean every item.
            "items" if keywords.contains_key("prefixItems") => ("additionalItems", project(&pointer, value)?),
            "prefixItems" => ("items", each(&pointer, value)?),
            "not" | "if" | "then" | "else" | "additionalProperties" | "propertyNames" | "contains" | "items" => {
                (keyword.as_str(), project(&pointer, value)?)
            }
            "allOf" | "anyOf" | "oneOf" => (keyword.as_str(), each(&pointer, value)?),
            "properties" | "patternProperties" => (keyword.as_str(), named(&pointer, value)?),
            "dependentRequired" if !keywords.contains_key("dependentSchemas") => ("dependencies", value.clone()),
            "dependentSchemas" if !keywords.contains_key("dependentRequired") => {
                ("dependencies", named(&pointer, value)?)
            }
            same if SAME.contains(&same) || same.starts_with("x-") => (same, value.clone()),
            _ => return Err(Unprojectable { pointer, keyword: keyword.clone() }),
        };
        projected.insert(name.to_owned(), value);
    }
    if keywords.get("format").is_some_and(|format| format == "uuid") {
        if !projected.contains_key("pattern") {
            projected.insert("pattern".to_owned(), UUID.into());
        } else if let Value::Array(all) = projected.entry("allOf").or_insert_with(|| json!([])) {
            all.push(json!({ "pattern": UUID }));
        }
    }
    Ok(Value::Object(projected))
}

fn each(pointer: &str, schemas: &Value) -> Result<Value, Unprojectable> {
    let schemas = schemas.as_array().into_iter().flatten().enumerate();
    schemas.map(|(at, schema)| project(&format!("{pointer}/{at}"), schema)).collect()
}

fn named(pointer: &str, schemas: &Value) -> Result<Value, Unprojectable> {
    let mut projected = json!({});
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        projected[name] = project(&format!("{pointer}/{name}"), schema)?;
    }
    Ok(projected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both say the same of each instance, and the projection is a schema of draft-07.
    fn agree(schema: &Value, instances: &[Value]) {
        let projected = draft7(schema).unwrap();
        assert!(jsonschema::draft7::meta::is_valid(&projected), "{projected}");
        let new = jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap();
        let old = jsonschema::draft7::options().should_validate_formats(true).build(&projected).unwrap();
        let verdicts: Vec<_> = instances.iter().map(|each| (new.is_valid(each), old.is_valid(each))).collect();
        assert!(verdicts.iter().all(|(new, old)| new == old), "{projected}: {verdicts:?}");
        assert!(verdicts.iter().any(|(new, _)| *new) && verdicts.iter().any(|(new, _)| !*new), "{verdicts:?}");
    }

    #[test]
    fn what_both_drafts_can_say_is_said_with_the_same_verdicts() {
        agree(
            &json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
                "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "boolean"}}),
            &[json!(["a", 1, true]), json!(["a", 1, 2]), json!([1]), json!([])],
        );
        agree(
            &json!({"items": {"enum": ["a"]}, "type": "array", "contains": {"const": "a"}}),
            &[json!(["a", "a"]), json!(["b"]), json!([])],
        );
        agree(
            &json!({"dependentRequired": {"a": ["b"]}, "properties": {"a": {"type": "string", "x-classification": "pii"}}}),
            &[json!({"a": "x", "b": 1}), json!({"a": "x"}), json!({"a": 1, "b": 1})],
        );
        agree(
            &json!({"dependentSchemas": {"a": {"properties": {"b": {"type": "integer"}}}}}),
            &[json!({"a": "x", "b": 1}), json!({"a": "x", "b": "y"}), json!({"b": "y"})],
        );
        agree(
            &json!({"anyOf": [{"type": "string"}, {"not": {"prefixItems": [true, false]}}]}),
            &[json!("x"), json!([1]), json!([1, 2])],
        );
    }

    #[test]
    fn a_format_that_draft_07_does_not_know_is_said_as_a_pattern() {
        let id = "019ab6a1-3c00-7000-8000-00000000a11c";
        for schema in [
            json!({"format": "uuid"}),
            json!({"format": "uuid", "pattern": "^019"}),
            json!({"format": "uuid", "allOf": [{"pattern": "^019"}]}),
        ] {
            agree(&schema, &[json!(id), json!(id.replace('-', "")), json!("7"), json!(7)]);
        }
        assert_eq!(draft7(&json!({"items": {"format": "duration"}})).unwrap_err().pointer, "/items/format");
    }

    #[test]
    fn what_draft_07_has_no_word_for_is_refused_with_its_place() {
        for (schema, pointer) in [
            (json!({"unevaluatedProperties": false}), "/unevaluatedProperties"),
            (json!({"properties": {"a": {"minContains": 2}}}), "/properties/a/minContains"),
            (json!({"allOf": [{"$ref": "#/$defs/a"}]}), "/allOf/0/$ref"),
            (json!({"$defs": {}}), "/$defs"),
            (json!({"dependentRequired": {}, "dependentSchemas": {}}), "/dependentRequired"),
        ] {
            assert_eq!(draft7(&schema).unwrap_err().pointer, pointer);
        }
    }
}
