//! Whether a document is valid, by an engine that knows nothing of the rest of this crate.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use jsonschema::Validator;
use serde_json::Value;

use crate::shape::Shape;

/// Formats are asserted, `email` aside: what it allows differs from one engine to the next, and a pattern beside it says
/// what is meant.
///
/// # Panics
///
/// Where `schema` is none.
pub fn validator(schema: &Value) -> Validator {
    let options = jsonschema::options().should_validate_formats(true).with_format("email", |_: &str| true);
    options.build(schema).expect("a schema that was read is one")
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
