use axum::{Router, body::Body, http::Request, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    http::{self, HttpSettings},
    problem::Json,
};

use crate::{ask, header, json as body_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read, not used")]
struct Order {
    name: String,
    count: u8,
    #[serde(default)]
    lines: Vec<Line>,
    size: Option<Size>,
    wrapping: Option<Wrapping>,
    sender: Option<Sender>,
    place: Option<(u8, u8)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read, not used")]
struct Line {
    article: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "read, not used")]
enum Wrapping {
    Box { height: u8 },
    Paper(u8, u8),
    Written(String),
    Plain,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(dead_code, reason = "read, not used")]
enum Sender {
    Person { name: String },
}

fn app() -> Router {
    let router = Router::new().route("/orders", post(async |Json(_): Json<Order>| "taken"));
    http::app(router, &HttpSettings::default())
}

async fn order(content_type: Option<&str>, body: impl Into<Body>) -> (u16, Value, String) {
    let mut request = Request::post("/orders");
    if let Some(kind) = content_type {
        request = request.header("content-type", kind);
    }
    let response = ask(&app(), request.body(body.into()).unwrap()).await;
    let status = response.status().as_u16();
    if status == 200 {
        return (status, Value::Null, String::new());
    }
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let problem = body_of(response).await;
    assert_eq!(problem["status"], status);
    let text = problem.to_string();
    (status, problem, text)
}

#[tokio::test]
async fn a_field_at_fault_is_named_and_its_value_is_not_repeated() {
    const SECRET: &str = "hunter2";
    let good = json!({"name": "n", "count": 1});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    for (body, field, message) in [
        (json!({"count": 1}).to_string(), "name", "is missing"),
        (with("name", json!(5_551_234)), "name", "should be a string"),
        (with("name", json!(null)), "name", "should be a string"),
        (with("count", json!(SECRET)), "count", "should be a whole number from 0 to 255"),
        (with("count", json!(5_551_234)), "count", "should be a whole number from 0 to 255"),
        (with("count", json!("a, expected hunter2")), "count", "should be a whole number from 0 to 255"),
        (with("colour", json!(SECRET)), "colour", "is not a field of this request"),
        (with("lines", json!(SECRET)), "lines", "should be an array"),
        (with("lines", json!([{"article": "a"}, {"article": [SECRET]}])), "lines[1].article", "should be a string"),
        (with("lines", json!([{}])), "lines[0].article", "is missing"),
        (with("lines", json!([{"article": "a", "note": SECRET}])), "lines[0].note", "is not a field of this request"),
        (with("size", json!(SECRET)), "size", "should be `small` or `large`"),
        (with("size", json!(5_551_234)), "size", "is not valid"),
        (with("size", json!([SECRET])), "size", "is not valid"),
        (with("size", json!({"large": SECRET})), "size.large", "should be null"),
        (with("wrapping", json!("box")), "wrapping.box", "is missing"),
        (with("wrapping", json!("paper")), "wrapping.paper", "is missing"),
        (with("wrapping", json!("written")), "wrapping.written", "is missing"),
        (with("wrapping", json!({"box": SECRET})), "wrapping.box", "should be an object"),
        (with("wrapping", json!({"box": []})), "wrapping.box", "should be an object"),
        (with("wrapping", json!({"paper": [1]})), "wrapping.paper", "should be an array"),
        (with("wrapping", json!({"paper": SECRET})), "wrapping.paper", "should be an array"),
        (with("wrapping", json!({"written": 5_551_234})), "wrapping.written", "should be a string"),
        (with("sender", json!(SECRET)), "sender", "should be an object"),
        (with("sender", json!({"type": 5_551_234})), "sender.type", "should be a string"),
        (with("sender", json!({"type": SECRET})), "sender.type", "should be `person`"),
        (with("place", json!(SECRET)), "place", "should be an array"),
        (with("place", json!([1])), "place", "should be an array"),
        (r#"{"name":"n","name":"hunter2","count":1}"#.to_owned(), "name", "is there twice"),
    ] {
        let (status, problem, text) = order(Some("application/json"), body.clone()).await;
        assert_eq!(status, 422, "{body}: {text}");
        assert_eq!(problem["type"], "urn:waypost:problem:invalid-fields", "{body}");
        assert_eq!(problem["errors"], json!([{"field": field, "message": message}]), "{body}");
        assert!(!text.contains(SECRET) && !text.contains("5551234"), "{text}");
    }
}

#[tokio::test]
async fn a_body_that_can_not_be_read_is_malformed() {
    let deep = "[".repeat(1_000);
    for (body, detail) in [
        ("", "the body ends too early, at line 1, column 0"),
        ("{\"name\":\n", "the body ends too early, at line 2, column 0"),
        ("hunter2", "the body is not valid JSON, at line 1, column 1"),
        (r#"{"name":"n","count":1} hunter2"#, "the body is not valid JSON, at line 1, column 24"),
        (r#"{"name":"n","lines":[{"article":hunter2"#, "the body is not valid JSON, at line 1, column 33"),
        (r#"["hunter2"]"#, "the body should be an object"),
        (r#"["hunter2", 1, [], null]"#, "the body should be an object"),
        (r#""hunter2""#, "the body should be an object"),
        ("null", "the body should be an object"),
        (&deep, "the body should be an object"),
    ] {
        let (status, problem, text) = order(Some("application/json"), body.to_owned()).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:waypost:problem:malformed-body")), "{body}: {text}");
        assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{body}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn another_content_type_and_a_body_too_large_are_refused() {
    let good = r#"{"name":"n","count":1}"#;
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json; charset=utf-8")]
    {
        let (status, problem, text) = order(kind, good).await;
        assert_eq!(status, 415, "{kind:?}");
        assert!(problem["detail"].as_str().unwrap().contains("application/json"), "{text}");
    }
    for kind in ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.order+json"] {
        assert_eq!(order(Some(kind), good).await.0, 200, "{kind}");
    }
    let (status, ..) =
        order(Some("application/json"), format!(r#"{{"name":"{}","count":1}}"#, "x".repeat(16_384))).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_fields_name_is_not_repeated_at_any_length() {
    let long = "x".repeat(2_000);
    let (_, problem, _) = order(Some("application/json"), json!({"name": "n", "count": 1, long: 1}).to_string()).await;
    assert_eq!(problem["errors"][0]["field"], "x".repeat(64));
}
