use std::{
    any::Any,
    sync::OnceLock,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use hyper::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, info_span};

use super::{HttpSettings, TraceContext, server_span::ServerSpan, trace_context::Caller};
use crate::{
    health,
    problem::{Problem, kind},
};

/// The trace id, for a person who asks what became of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST_LOGGED_PATH: usize = 256;

/// How long [`crate::problem::Json`] waits for a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyReadTimeout(pub Duration);

/// Puts around a router what every router needs. Call it last: routes that are added later go without.
pub fn app(router: Router, settings: &HttpSettings) -> Router {
    describe_metrics();
    router
        .fallback(async || Problem::new(&kind::NOT_FOUND))
        .method_not_allowed_fallback(async || {
            Problem::of(StatusCode::METHOD_NOT_ALLOWED).detail("the header `allow` says which methods this path takes")
        })
        .layer(DefaultBodyLimit::max(settings.body_limit))
        .layer(Extension(BodyReadTimeout(settings.body_read_timeout)))
        .layer(from_fn_with_state(settings.request_timeout, limit_time))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(from_fn(observe))
}

async fn limit_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        tracing::warn!("no answer within {} s", limit.as_secs_f32());
        Problem::new(&kind::TIMEOUT).retry_after(Duration::from_secs(1)).into_response()
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn after_panic(payload: Box<dyn Any + Send>) -> Response {
    let message = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    tracing::error!("a handler panicked: {}", message.unwrap_or("a payload that is not text"));
    Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// Gives the request its trace context, and says in log and metrics how it went.
async fn observe(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    // Never the query: it may hold what is not for logs.
    let path: String = request.uri().path().chars().take(LONGEST_LOGGED_PATH).collect();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Labels come from fixed sets: a stranger's path or method would make a time series each.
    let label = method_label(&method);
    let caller = Caller::of(request.headers());
    let server_span = ServerSpan::start(label, route.as_ref().map(MatchedPath::as_str), caller);
    let trace = server_span.context().unwrap_or_else(|| TraceContext::called_by(caller));
    let span = info_span!("request", trace_id = trace.trace_id());
    let request_id = HeaderValue::from_str(trace.trace_id()).ok();
    request.extensions_mut().insert(trace);

    let answering = next.run(request).instrument(server_span.span().clone());
    let mut response = answering.instrument(span.clone()).await;

    if let Some(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let took = began.elapsed();
    let status = response.status().as_u16();
    server_span.answered(response.status());
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    counter!("http_requests_total", "method" => label, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    let milliseconds = took.as_millis() as u64;
    span.in_scope(|| {
        if health::is_probe(&route) {
            tracing::debug!(%method, path, status, milliseconds, "answered");
        } else {
            tracing::info!(%method, path, status, milliseconds, "answered");
        }
    });
    histogram!("http_request_duration_seconds", "method" => label, "route" => route).record(took);
    response
}

/// For a method that is none of HTTP's own.
pub(super) const OTHER_METHOD: &str = "other";

fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    const LABELS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or(OTHER_METHOD, |at| LABELS[at])
}

fn describe_metrics() {
    static DESCRIBED: OnceLock<()> = OnceLock::new();
    DESCRIBED.get_or_init(|| {
        describe_counter!("http_requests_total", Unit::Count, "HTTP requests answered");
        describe_histogram!("http_request_duration_seconds", Unit::Seconds, "From a request's head to its answer's");
    });
}
