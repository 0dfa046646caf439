//! What an API's description says of limits.
//!
//! An operation names its rules in the extension `x-limits`; [`describe`] makes of them a sentence, the answer 429, and the
//! fields that tell how much is left. To be called after [`crate::problem::openapi::describe`].

use std::fmt::Write;

use serde_json::{Value, json};
use utoipa::openapi::{Header, HeaderBuilder, ObjectBuilder, OpenApi, RefOr, Type, path::Operation};

use super::Rule;
use crate::problem::{
    kind::QUOTA_EXCEEDED,
    openapi::{operations, response},
};

const EXTENSION: &str = "x-limits";

/// Completes the description of every operation that has limits. Panics where one names a rule that is not in `rules`: that is
/// a mistake in the program.
pub fn describe(api: &mut OpenApi, rules: &[&Rule]) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            let told = operation.extensions.as_mut().and_then(|extensions| extensions.remove(EXTENSION));
            if operation.extensions.as_ref().is_some_and(|extensions| extensions.is_empty()) {
                operation.extensions = None;
            }
            let names = told.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let limits: Vec<&Rule> = names
                .map(|name| {
                    let rule = rules.iter().find(|rule| rule.name == name);
                    *rule.unwrap_or_else(|| panic!("there is no rule called `{name}`"))
                })
                .collect();
            if !limits.is_empty() {
                describe_operation(operation, &limits);
            }
        }
    }
}

fn describe_operation(operation: &mut Operation, limits: &[&Rule]) {
    let sentences: Vec<_> = limits
        .iter()
        .map(|rule| format!("`{}`: {} at once, then one each {}", rule.name, rule.burst, in_words(rule)))
        .collect();
    let description = operation.description.get_or_insert_default();
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    let _ = write!(description, "Limits: {}.", sentences.join("; "));
    let mut too_many = response(QUOTA_EXCEEDED.status, &[&QUOTA_EXCEEDED]);
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    let retry_after =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("When to try again, in seconds")).build();
    too_many.headers.insert("retry-after".to_owned(), RefOr::T(retry_after));
    operation.responses.responses.insert(QUOTA_EXCEEDED.status.as_str().to_owned(), RefOr::T(too_many));
    let is_told = limits.iter().any(|rule| rule.is_told);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && is_told
        {
            let told = "What is left of each limit: requests, and seconds until there is one more. Not there where the \
                        request came to an end before it was counted";
            response.headers.insert("ratelimit".to_owned(), RefOr::T(list(told, r#""login-ip";r=9;t=6"#)));
            let policy = "Each limit: requests, and seconds after which all of them are there again";
            response.headers.insert("ratelimit-policy".to_owned(), RefOr::T(list(policy, r#""login-ip";q=10;w=60"#)));
        }
    }
}

fn in_words(rule: &Rule) -> String {
    let millis = rule.interval.as_millis();
    if millis.is_multiple_of(1_000) { format!("{} s", millis / 1_000) } else { format!("{millis} ms") }
}

fn list(description: &str, example: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).example(Some(json!(example))).build()
}
