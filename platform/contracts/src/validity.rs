//! Whether a document is valid, by an engine that knows nothing of the rest of this crate.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use jsonschema::{Validator, error::ValidationErrorKind};
use schemas::SchemaEntry;
use serde_json::{Value, value::RawValue};

use crate::shape::Shape;

/// Formats are asserted, `email` aside: what it allows differs from one engine to the next, and a pattern beside it says
/// what is meant.
///
/// # Panics
///
/// Where `schema` is none.
pub fn validator(schema: &Value) -> Validator {
    try_validator(schema).expect("a schema that was read is one")
}

pub fn try_validator(schema: &Value) -> Option<Validator> {
    let options = jsonschema::options().should_validate_formats(true).with_format("email", |_: &str| true);
    options.build(schema).ok()
}

/// `None` where a part is not judged: no document can be confirmed then.
pub fn whole_validator(shape: &Shape) -> Option<Rc<Validator>> {
    shape.is_judged().then(|| validator_of(shape))
}

/// Enough for all parts of two versions of every event.
const REMEMBERED: usize = 1_000;

/// As [`validator`], for a shape. Comparing two schemas asks for their parts over and over, and building one takes most
/// of the time that a comparison takes, so they are remembered.
pub fn validator_of(shape: &Shape) -> Rc<Validator> {
    thread_local! {
        static BUILT: RefCell<HashMap<String, Rc<Validator>>> = RefCell::default();
    }
    let schema = shape.to_schema();
    BUILT.with_borrow_mut(|built| {
        if built.len() >= REMEMBERED {
            built.clear();
        }
        built.entry(schema.to_string()).or_insert_with(|| Rc::new(validator(&schema))).clone()
    })
}

/// What is wrong with a payload: the place, and what should be there; never what is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PayloadProblem {
    /// JSON pointer into the payload; empty for the whole.
    pub pointer: String,
    pub what: String,
}

/// Everything that the schema says against a payload; where it says nothing, what the struct that reads it says.
pub fn payload_problems(entry: &SchemaEntry, data: &RawValue) -> Vec<PayloadProblem> {
    let problem = |pointer: &str, what: String| PayloadProblem { pointer: pointer.to_owned(), what };
    let schema = entry.json_schema();
    let Ok(value) = serde_json::from_str::<Value>(data.get()) else {
        return vec![problem("", "not JSON".to_owned())];
    };
    let validator = validator(&schema);
    let errors = validator.iter_errors(&value).map(|error| {
        let what = match error.kind() {
            ValidationErrorKind::Required { property } => {
                format!("`{}` is missing", property.as_str().unwrap_or_default())
            }
            kind => {
                let asked = schema.pointer(error.schema_path().as_str()).map(Value::to_string);
                format!("breaks {} {}", kind.keyword(), asked.unwrap_or_default())
            }
        };
        problem(error.instance_path().as_str(), what)
    });
    let mut problems: Vec<_> = errors.collect();
    if problems.is_empty()
        && let Err(error) = entry.check(data)
    {
        // `data.price.amountMinor`, `data.roles[0]`, as its reader names it.
        let field = error.field.as_deref().and_then(|field| field.strip_prefix("data")).unwrap_or_default();
        let pointer = field.replace(']', "").replace(['.', '['], "/");
        problems.push(problem(&pointer, error.what));
    }
    problems
}

#[cfg(test)]
mod tests {
    use schemas::all_schemas;

    use super::*;

    #[test]
    fn a_payload_is_told_what_is_wrong_with_it_and_never_what_it_holds() {
        let mut tried = 0;
        for entry in all_schemas() {
            for example in entry.examples() {
                let data = RawValue::from_string(example.text.to_owned()).unwrap();
                let problems = payload_problems(entry, &data);
                assert_eq!(problems.is_empty(), example.valid, "{} {}: {problems:?}", entry.title(), example.name);
                let told = format!("{problems:?}");
                let value: Value = serde_json::from_str(example.text).unwrap();
                for field in ["email", "previousEmail", "displayName", "tokenSealed"] {
                    if let Some(held) = value[field].as_str().filter(|held| held.len() > 8) {
                        assert!(!told.contains(held), "{told}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 100, "{tried}");
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let entry = SchemaEntry::find("user.created", 2).unwrap();
        let data = RawValue::from_string(r#"{"email":"alice","roles":[1],"status":"gone"}"#.to_owned()).unwrap();
        let problems: Vec<_> =
            payload_problems(entry, &data).iter().map(|it| format!("{}: {}", it.pointer, it.what)).collect();
        for told in [
            "/status: breaks enum [\"active\",\"deactivated\"]",
            "/roles/0: breaks type \"string\"",
            ": `userId` is missing",
        ] {
            assert!(problems.iter().any(|problem| problem == told), "{told} in {problems:?}");
        }
        assert_eq!(problems.len(), 7, "{problems:?}");
    }
}
