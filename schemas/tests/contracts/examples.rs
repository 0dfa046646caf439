use mutants::{Example, examples};
use schemas::{SchemaEntry, all_schemas, redact};
use serde_json::Value;

use crate::{raw, validator};

#[test]
fn every_version_has_its_examples() {
    let examples = examples();
    for entry in all_schemas() {
        let of_entry = || examples.iter().filter(|example| example.entry.title() == entry.title());
        let valid = of_entry().filter(|example| example.valid).count();
        let invalid = of_entry().filter(|example| !example.valid).count();
        assert!(valid >= 2 && invalid >= 4, "{}: {valid} valid, {invalid} invalid", entry.title());
    }
}

#[test]
fn the_schema_and_the_struct_agree_on_every_example() {
    for example in examples() {
        let read = example.entry.check(&raw(&example.data));
        assert_eq!(read.is_ok(), example.valid, "the struct of {}: {read:?}", example.title());
        let validator = validator(example.entry);
        let errors: Vec<_> = validator.iter_errors(&example.data).map(|error| error.to_string()).collect();
        assert_eq!(errors.is_empty(), example.valid, "the schema of {}: {errors:?}", example.title());
    }
}

/// A file that broke a second rule by accident would still be refused when the first is lost.
#[test]
fn an_invalid_example_breaks_the_one_rule_that_its_name_says() {
    for example in examples().iter().filter(|example| !example.valid) {
        let validator = validator(example.entry);
        for error in validator.iter_errors(&example.data) {
            let mut path = error.instance_path().to_string();
            if let jsonschema::error::ValidationErrorKind::Required { property } = error.kind() {
                path = format!("{path}/{}", property.as_str().unwrap());
            }
            let first = path.split('/').skip(1).filter(|part| part.parse::<usize>().is_err()).map(kebab);
            let field = first.collect::<Vec<_>>().join("-");
            assert!(example.name.starts_with(&(field + "-")), "{}: {error}", example.title());
        }
    }
}

fn kebab(field: &str) -> String {
    let hyphenated = |c: char| if c.is_uppercase() { format!("-{}", c.to_lowercase()) } else { c.to_string() };
    field.chars().map(hyphenated).collect()
}

#[test]
fn examples_come_from_their_producer_and_hold_nobody_real() {
    for example in examples().iter().filter(|example| example.valid) {
        assert_eq!(example.data["source"], example.entry.producer, "{}", example.title());
        for address in ["email", "previousEmail"].iter().filter_map(|field| example.data[field].as_str()) {
            assert!(address.ends_with("@example.com"), "{}", example.title());
        }
    }
}

#[test]
fn every_field_at_any_depth_is_classed_and_described() {
    for entry in all_schemas() {
        assert_classed(entry, "", &entry.json_schema(), true);
    }
}

fn assert_classed(entry: &SchemaEntry, path: &str, schema: &Value, described: bool) {
    let title = entry.title();
    assert!(!described || schema["description"].is_string(), "{path} of {title} is not described");
    assert!(schema.get("$ref").is_none(), "{path} of {title} is elsewhere");
    match schema["type"].as_str().unwrap() {
        "object" => {
            for (name, field) in schema["properties"].as_object().unwrap() {
                assert_classed(entry, &format!("{path}/{name}"), field, true);
            }
        }
        "array" => assert_classed(entry, &format!("{path}/[]"), &schema["items"], false),
        _ => {
            let class = schema["x-classification"].as_str();
            assert!(matches!(class, Some("open" | "pii" | "secret")), "{path} of {title} is not classed");
        }
    }
}

#[test]
fn what_is_shown_of_an_example_is_open() {
    for Example { entry, data, .. } in examples() {
        let shown = redact(entry.event_type.as_str(), entry.version, &data).to_string();
        for (field, class) in
            [("email", "pii"), ("previousEmail", "pii"), ("displayName", "pii"), ("tokenSealed", "secret")]
        {
            if data.get(field).is_some() {
                assert!(shown.contains(&format!(r#""{field}":"[redacted: {class}]""#)), "{}: {shown}", entry.title());
            }
        }
    }
}
