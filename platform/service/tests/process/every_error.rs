//! Whatever goes wrong, and whoever notices: one shape, no internals, and nothing of what was sent.

use std::{future::pending, time::Duration};

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{
    http::HttpSettings,
    problem::{Json, Query},
};

use crate::server::{Reply, Server, answer, assert_problem, patient, rest, send};

const SECRET: &str = "hunter2";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read, not used")]
struct Anything {
    name: String,
    #[serde(default)]
    any: Value,
}

fn router() -> Router {
    Router::new()
        .route("/", get("quick"))
        .route("/reads", post(async |Json(_): Json<Anything>| "read"))
        .route("/asks", get(async |Query(_): Query<Anything>| "asked"))
        .route("/panics", post(async |body: Bytes| panic!("{body:?}") as &str))
        .route("/hangs", get(async || pending::<()>().await))
}

async fn reply_of(server: &Server, bytes: impl AsRef<[u8]>) -> Reply {
    let mut stream = server.connect().await;
    send(&mut stream, bytes).await;
    Reply::parse(&rest(&mut stream).await)
}

fn post_of(path: &str, content_type: &str, body: &str) -> String {
    let kind = if content_type.is_empty() { String::new() } else { format!("content-type: {content_type}\r\n") };
    format!(
        "POST {path} HTTP/1.1\r\nhost: {SECRET}\r\nauthorization: {SECRET}\r\nconnection: close\r\n{kind}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn assert_says_nothing(reply: &Reply) {
    let text = reply.body.to_lowercase();
    for inside in [SECRET, "panic", ".rs", "serde", "hyper", "axum", "struct", "anything", "bytes", "0x", "::"] {
        assert!(!text.contains(inside), "{inside:?} in {reply:?}");
    }
}

#[tokio::test]
async fn every_error_is_a_problem_that_says_what_to_do_and_nothing_else() {
    const JSON: &str = "application/json";
    let json_post = |body: &str| post_of("/reads", JSON, body);
    let deep = format!(r#"{{"name":"{SECRET}","any":{}"#, "[".repeat(10_000));
    let closed = format!("{deep}{}}}", "]".repeat(5_000)).replacen(&"[".repeat(10_000), &"[".repeat(5_000), 1);
    let large = json!({"name": SECRET.repeat(10_000)}).to_string();
    let chunked = format!(
        "POST /reads HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    let close = format!("host: {SECRET}\r\nconnection: close\r\n\r\n");
    let server = Server::of(router(), patient()).await;
    for (request, status, kind) in [
        (format!("GET /{SECRET}?{SECRET} HTTP/1.1\r\n{close}"), 404, "about:blank"),
        (format!("GET /{SECRET}%00%ff%2e%2e HTTP/1.1\r\n{close}"), 404, "about:blank"),
        (format!("GET /reads?{SECRET} HTTP/1.1\r\n{close}"), 405, "about:blank"),
        (format!("{SECRET} / HTTP/1.1\r\n{close}"), 405, "about:blank"),
        (format!("CONNECT {SECRET}:443 HTTP/1.1\r\n{close}"), 404, "about:blank"),
        (json_post(&large), 413, "about:blank"),
        (chunked, 413, "about:blank"),
        (post_of("/reads", "", r#"{"name":"hunter2"}"#), 415, "about:blank"),
        (post_of("/reads", "text/hunter2", r#"{"name":"hunter2"}"#), 415, "about:blank"),
        (post_of("/reads", "hunter2\u{fc}", r#"{"name":"hunter2"}"#), 415, "about:blank"),
        (json_post(r#"{"name":hunter2"#), 400, "urn:waypost:problem:malformed-body"),
        (json_post(""), 400, "urn:waypost:problem:malformed-body"),
        (json_post(&deep), 400, "urn:waypost:problem:malformed-body"),
        (json_post(&closed), 400, "urn:waypost:problem:malformed-body"),
        (json_post(&"[".repeat(10_000)), 400, "urn:waypost:problem:malformed-body"),
        (json_post(r#"{"name":"hunter2","colour":"hunter2"}"#), 422, "urn:waypost:problem:invalid-fields"),
        (json_post(r#"{"name":"hunter2","name":"hunter2"}"#), 422, "urn:waypost:problem:invalid-fields"),
        (json_post(r#"{"name":["hunter2"]}"#), 422, "urn:waypost:problem:invalid-fields"),
        (format!("GET /asks?colour={SECRET} HTTP/1.1\r\n{close}"), 422, "urn:waypost:problem:invalid-fields"),
        (post_of("/panics", JSON, SECRET), 500, "about:blank"),
        (format!("GET /{} HTTP/1.1\r\n{close}", SECRET.repeat(5_000)), 414, "about:blank"),
        (format!("GET / HTTP/1.1\r\ncookie: {}\r\n{close}", SECRET.repeat(5_000)), 431, "about:blank"),
        (format!("{SECRET}\r\n\r\n"), 400, "about:blank"),
        (format!("GET / HTTP/1.1\r\n{SECRET}\r\n\r\n"), 400, "about:blank"),
    ] {
        let shown: String = request.chars().take(100).collect();
        let reply = reply_of(&server, &request).await;
        assert_problem(&reply, status);
        assert_eq!(reply.problem()["type"], kind, "{shown:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
        assert_eq!(
            reply.header("allow"),
            (status == 405).then_some(if shown.contains("/reads") { "POST" } else { "GET,HEAD" })
        );
        assert_says_nothing(&reply);
    }
}

#[tokio::test]
async fn what_takes_too_long_is_a_problem_too() {
    let soon = Duration::from_millis(100);
    let server = Server::of(router(), HttpSettings { request_timeout: soon, ..patient() }).await;
    let reply =
        reply_of(&server, format!("GET /hangs?{SECRET} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    assert_problem(&reply, 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_says_nothing(&reply);

    let server = Server::of(router(), HttpSettings { body_read_timeout: soon, ..patient() }).await;
    let half = post_of("/reads", "application/json", r#"{"name":"hunter2"}"#);
    let reply = reply_of(&server, &half[..half.len() - 5]).await;
    assert_problem(&reply, 408);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_says_nothing(&reply);
}

#[tokio::test]
async fn an_error_is_no_reason_to_close_where_the_request_was_read() {
    let server = Server::of(router(), patient()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let request = post_of("/reads", "application/json", r#"{"name":1}"#).replace("connection: close\r\n", "");
        send(&mut stream, request).await;
        let reply = Reply::parse(&answer(&mut stream, "}]}").await);
        assert_problem(&reply, 422);
        assert_eq!(reply.header("connection"), None);
    }
}
