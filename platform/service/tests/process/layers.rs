use std::{future::pending, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
    routing::{get, post},
};
use fixtures::recording;
use futures_util::stream;
use serde::Deserialize;
use service::{
    access_token::KEY_SET_PATH,
    http::{self, HttpSettings, TraceContext},
    problem::Json,
    telemetry::Metrics,
};

use crate::{ask, get as fetch, header, json, text};

#[derive(Deserialize)]
struct Anything {}

fn app() -> Router {
    let settings = HttpSettings {
        request_timeout: Duration::from_secs(10),
        body_read_timeout: Duration::from_secs(5),
        ..HttpSettings::default()
    };
    let router = Router::new()
        .route("/trace/{name}", get(async |trace: TraceContext| trace.traceparent().to_owned()))
        .route(KEY_SET_PATH, get(async || "the same for all"))
        .route("/readyz", get(async || "ready"))
        .route("/panics", get(async |method: Method| assert_ne!(method, Method::GET, "hunter2")))
        .route("/hangs", get(async || pending::<()>().await))
        .route("/reads", post(async |Json(Anything {}): Json<Anything>| "read"));
    http::app(router, &settings)
}

#[tokio::test]
async fn a_trace_is_continued_to_the_handler_and_named_in_the_answer() {
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::get("/trace/x").header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"));
    let response = ask(&app(), request.body(Body::empty()).unwrap()).await;
    assert_eq!(header(&response, "x-request-id"), Some(trace_id));
    assert!(text(response).await.starts_with(&format!("00-{trace_id}-")));

    let response = fetch(&app(), "/trace/x").await;
    let request_id = header(&response, "x-request-id").unwrap().to_owned();
    assert!(text(response).await.contains(&request_id));
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    let response = fetch(&app(), "/panics").await;
    assert_eq!(response.status(), 500);
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert!(header(&response, "x-request-id").is_some());
    let body = text(response).await;
    assert_eq!(body, r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_given_up() {
    let began = tokio::time::Instant::now();
    let response = fetch(&app(), "/hangs").await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("1"));
    assert_eq!(json(response).await["type"], "urn:waypost:problem:timeout");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let body = Body::from_stream(stream::pending::<Result<&str, std::io::Error>>());
    let request = Request::post("/reads").header("content-type", "application/json").body(body).unwrap();
    let response = ask(&app(), request).await;
    assert_eq!(response.status(), 408);
    assert_eq!(json(response).await["detail"], "the body should arrive within 5 s");
}

#[tokio::test]
async fn nothing_and_not_so_are_problems() {
    let response = fetch(&app(), "/nowhere").await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "content-type")),
        (404, Some("application/problem+json"))
    );
    let response = fetch(&app(), "/reads").await;
    assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, Some("POST")));
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn metrics_are_labelled_by_route_and_never_by_what_a_stranger_sends() {
    let metrics = Metrics::start("test").unwrap();
    fetch(&app(), "/trace/one").await;
    fetch(&app(), "/trace/two").await;
    fetch(&app(), "/nobody-knows-this").await;
    let odd = Request::builder().method("BREW").uri("/nobody-knows-this").body(Body::empty()).unwrap();
    ask(&app(), odd).await;

    let rendered = metrics.render();
    for wanted in [
        r#"http_requests_total{method="GET",route="/trace/{name}",status="200"}"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"}"#,
        r#"http_requests_total{method="other",route="unmatched",status="404"}"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/trace/{name}",le="0.5"}"#,
    ] {
        assert!(rendered.contains(wanted), "{wanted} in\n{rendered}");
    }
    assert!(!rendered.contains("nobody-knows-this") && !rendered.contains("BREW"), "{rendered}");
}

#[tokio::test]
async fn what_machines_ask_for_all_the_time_is_counted_and_in_the_access_log_at_debug() {
    let (app, metrics) = (app(), Metrics::start("test").unwrap());
    recording::begin();
    for path in [KEY_SET_PATH, "/readyz", "/trace/x"] {
        assert_eq!(fetch(&app, path).await.status(), 200);
    }
    // A refusal is nothing that is asked for all the time.
    assert_eq!(ask(&app, Request::post(KEY_SET_PATH).body(Body::empty()).unwrap()).await.status(), 405);

    let log = recording::log();
    let logged = |path: &str| {
        let path = format!(" path=\"{path}\" ");
        let lines = log.lines().filter(|line| line.contains("answered") && line.contains(&path));
        lines.map(|line| line.split_whitespace().nth(1).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(logged(KEY_SET_PATH), ["DEBUG", "INFO"], "{log}");
    assert_eq!(logged("/readyz"), ["DEBUG"], "{log}");
    assert_eq!(logged("/trace/x"), ["INFO"], "{log}");
    let counted = format!(r#"http_requests_total{{method="GET",route="{KEY_SET_PATH}",status="200"}} 1"#);
    assert!(metrics.render().contains(&counted));
    // Each says which request it was.
    let ids = log.lines().filter(|line| line.contains("answered") && line.contains("trace_id=")).count();
    assert_eq!(ids, 4, "{log}");
}
