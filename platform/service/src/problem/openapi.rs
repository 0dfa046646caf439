//! What an API's description says of problems.
//!
//! An operation names the kinds of problems that it may answer with, in the extension `x-problems` beside its other
//! responses; [`describe`] makes responses of them: status, headers, media type, schema, and an example of each kind. What
//! every operation may answer with is added unasked.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
    content::ContentBuilder,
    example::ExampleBuilder,
    header::Header,
    path::{Operation, PathItem},
};

use super::{
    CONTENT_TYPE, Problem,
    kind::{ALWAYS, FORBIDDEN, IF_MATCH_REQUIRED, Kind, OUTDATED, OVERLOADED, UNAUTHENTICATED, WITH_BODY},
};

/// In `x-problems`: whatever reading a body may end in.
const BODY: &str = "body";
const EXTENSION: &str = "x-problems";

/// Completes the description of every operation. `kinds` are those that the API has beside what every API has. Panics where
/// an operation names a kind that is in neither: that is a mistake in the program.
pub fn describe(api: &mut OpenApi, kinds: &[&'static Kind]) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            describe_operation(operation, kinds);
        }
    }
}

pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

fn describe_operation(operation: &mut Operation, known: &[&'static Kind]) {
    let told = operation.extensions.as_mut().and_then(|extensions| extensions.remove(EXTENSION));
    if operation.extensions.as_ref().is_some_and(|extensions| extensions.is_empty()) {
        operation.extensions = None;
    }
    let names = told.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut by_status: BTreeMap<StatusCode, Vec<&'static Kind>> = BTreeMap::new();
    let mut add = |kind: &'static Kind| by_status.entry(kind.status).or_default().push(kind);
    for name in names {
        if name == BODY {
            for kind in WITH_BODY {
                add(kind);
            }
            continue;
        }
        let all = known.iter().chain(WITH_BODY).chain(ALWAYS).chain(&EVERYWHERE);
        let kind = all.copied().find(|kind| kind.name == Some(name));
        add(kind.unwrap_or_else(|| panic!("there is no kind of problem called `{name}`")));
    }
    for kind in ALWAYS {
        add(kind);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.headers.insert("x-request-id".to_owned(), RefOr::T(request_id()));
            // What is sent where a handler says nothing of it.
            response.headers.entry("cache-control".to_owned()).or_insert_with(|| RefOr::T(not_stored()));
        }
    }
    for (status, kinds) in by_status {
        let response = response(status, &kinds);
        let before = operation.responses.responses.insert(status.as_str().to_owned(), RefOr::T(response));
        assert!(before.is_none(), "{status} is described twice");
    }
}

/// Kinds that every API may name.
const EVERYWHERE: [&Kind; 5] = [&UNAUTHENTICATED, &FORBIDDEN, &OUTDATED, &IF_MATCH_REQUIRED, &OVERLOADED];

pub(crate) fn response(status: StatusCode, kinds: &[&'static Kind]) -> Response {
    let titles: Vec<_> = kinds.iter().map(|kind| kind.title).collect();
    let examples = kinds.iter().map(|kind| {
        let value = serde_json::to_value(Problem::new(kind)).unwrap_or_default();
        let name = kind.name.unwrap_or("about-blank");
        (name, ExampleBuilder::new().summary(kind.title).value(Some(value)).build())
    });
    let schema: RefOr<utoipa::openapi::Schema> = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content: Content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new()
        .description(titles.join("; or: "))
        .content(CONTENT_TYPE, content)
        .header("x-request-id", request_id())
        .header("cache-control", not_stored());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
        response = response.header(
            "retry-after",
            HeaderBuilder::new().schema(Some(seconds)).description(Some("When to try again, in seconds")).build(),
        );
    }
    if status == StatusCode::UNAUTHORIZED {
        response = response
            .header("www-authenticate", text("The challenge of RFC 6750", json!(r#"Bearer error="invalid_token""#)));
    }
    response.build()
}

fn request_id() -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{32}$")).build();
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some("The request's trace id, by which logs and the audit trail know it"))
        .build()
}

fn not_stored() -> Header {
    text("`no-store`", json!("no-store"))
}

fn text(description: &str, example: Value) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).example(Some(example)).build()
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::{Info, Paths, path::OperationBuilder};

    use super::*;

    #[test]
    #[should_panic(expected = "no kind of problem called `unheard-of`")]
    fn a_kind_that_is_not_there_is_a_mistake_in_the_program() {
        let mut api = OpenApi::new(Info::new("test", "1"), Paths::new());
        let mut item = PathItem::default();
        let extensions = [(EXTENSION, json!(["unheard-of"]))].into_iter().collect();
        item.get = Some(OperationBuilder::new().extensions(Some(extensions)).build());
        api.paths.paths.insert("/".to_owned(), item);
        describe(&mut api, &[]);
    }
}
