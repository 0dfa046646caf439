//! Whether a document is valid, by an engine that knows nothing of the rest of this crate.

use jsonschema::Validator;
use serde_json::Value;

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
