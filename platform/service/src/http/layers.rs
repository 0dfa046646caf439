use std::{
    any::Any,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::HttpBody,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{Extensions, HeaderValue, Method, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use tokio::time::sleep;
use tower_http::cors::CorsLayer;
use tracing::Instrument;

use super::{
    ClientAddress, HttpSettings, REQUEST_ID, TraceContext, TrustedProxies, cors,
    request_metrics::{self, RequestMetrics, method_label},
    security_headers,
    server_span::ServerSpan,
    trace_context::Caller,
};
use crate::{
    access_token, card_number, health,
    problem::{Problem, kind},
    telemetry::in_request,
};

const LONGEST_LOGGED_PATH: usize = 256;

/// How long [`crate::problem::Json`] waits for a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyReadTimeout(pub Duration);

/// What is around every route, as one layer: each layer more boxes a request's service and its future once more.
struct Around {
    body_limit: DefaultBodyLimit,
    body_read_timeout: BodyReadTimeout,
    request_timeout: Duration,
    trusted_proxies: TrustedProxies,
    cors: Option<CorsLayer>,
    metrics: RequestMetrics,
}

/// Puts around a router what every router needs. Call it last: routes that are added later go without.
pub fn app(router: Router, settings: &HttpSettings) -> Router {
    request_metrics::describe();
    let around = Around {
        body_limit: DefaultBodyLimit::max(settings.body_limit),
        body_read_timeout: BodyReadTimeout(settings.body_read_timeout),
        request_timeout: settings.request_timeout,
        trusted_proxies: settings.trusted_proxies.clone(),
        cors: settings.allowed_origins.layer(),
        metrics: RequestMetrics::default(),
    };
    router
        .fallback(async || Problem::new(&kind::NOT_FOUND))
        .method_not_allowed_fallback(async || {
            Problem::of(StatusCode::METHOD_NOT_ALLOWED).detail("the header `allow` says which methods this path takes")
        })
        .layer(from_fn_with_state(Arc::new(around), guard))
}

/// What is known of a request before it is answered, for extractors. One thing, since each that is put there is looked for and
/// allocated by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub trace: TraceContext,
    /// Where it was accepted on a socket.
    pub client: Option<ClientAddress>,
}

impl Known {
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }
}

/// From the outside in: whatever happens within is observed, and whatever is answered within has its headers.
async fn guard(State(around): State<Arc<Around>>, mut request: Request, next: Next) -> Response {
    let observed = Observed::of(&request);
    let over_tls = around.trusted_proxies.saw_tls(&request);
    let client = ClientAddress::of(&request, &around.trusted_proxies);
    request.extensions_mut().insert(Known { trace: observed.trace, client });
    let answering = async {
        match &around.cors {
            None => around.answer(request, next).await,
            Some(cors) => {
                let answer = |request| {
                    let (around, next) = (Arc::clone(&around), next.clone());
                    async move { around.answer(request, next).await }
                };
                // Boxed for those who have none: their requests would have room for it as well.
                Box::pin(cors::share(cors, request, answer)).await
            }
        }
    };
    let answering = answering.instrument(observed.span.span().clone());
    let mut response = in_request(observed.trace, answering).await;
    security_headers::add_to(response.headers_mut(), over_tls);
    observed.answered(&mut response, &around.metrics);
    response
}

/// A request while it is answered.
struct Observed {
    began: Instant,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    trace: TraceContext,
    span: ServerSpan,
}

impl Observed {
    fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let caller = Caller::of(request.headers());
        let span = ServerSpan::start(method_label(request.method()), route.as_ref().map(MatchedPath::as_str), caller);
        let trace = span.context().unwrap_or_else(|| TraceContext::called_by(caller));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Self { began: Instant::now(), method, uri, route, trace, span }
    }

    /// Gives the answer the request's id, and says in log, traces and metrics how it went.
    fn answered(self, response: &mut Response, metrics: &RequestMetrics) {
        let Self { began, method, uri, route, trace, span } = self;
        if let Ok(id) = HeaderValue::from_str(trace.trace_id()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let status = response.status();
        // The rest of such a body is not waited for, so there is no next request on this connection.
        if matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = began.elapsed();
        span.answered(status);
        metrics.count(method_label(&method), route.as_ref(), status, took);
        let is_routine = is_routine(route.as_ref(), status);
        // Never the query: it may hold what is not for logs.
        let path = || logged(uri.path());
        let (trace_id, status, milliseconds) = (trace.trace_id(), status.as_u16(), took.as_millis() as u64);
        if is_routine {
            tracing::debug!(trace_id, %method, path = path(), status, milliseconds, "answered");
        } else {
            tracing::info!(trace_id, %method, path = path(), status, milliseconds, "answered");
        }
    }
}

impl Around {
    async fn answer(&self, mut request: Request, next: Next) -> Response {
        if !request.body().is_end_stream() {
            self.body_limit.apply(&mut request);
            request.extensions_mut().insert(self.body_read_timeout);
        }
        let answering = pin!(AssertUnwindSafe(next.run(request)).catch_unwind());
        match within(self.request_timeout, answering).await {
            Some(Ok(response)) => response,
            Some(Err(payload)) => after_panic(payload.as_ref()),
            None => {
                tracing::warn!("no answer within {} s", self.request_timeout.as_secs_f32());
                Problem::new(&kind::TIMEOUT).retry_after(Duration::from_secs(1)).into_response()
            }
        }
    }
}

/// `None` where it takes longer. What is answered at once needs no clock, so there is none before it has to wait.
async fn within<F: Future>(limit: Duration, mut answering: Pin<&mut F>) -> Option<F::Output> {
    let mut clock = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(answer) = answering.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        if clock.is_none() {
            clock.set(Some(sleep(limit)));
        }
        clock.as_mut().as_pin_mut().map_or(Poll::Pending, |clock| clock.poll(context).map(|()| None))
    })
    .await
}

/// What machines ask for all the time: probes, on whose answers somebody acts, and the keys that tokens are checked with, which
/// are the same for everybody. Of these a refusal is nothing that happens all the time.
fn is_routine(route: Option<&MatchedPath>, answered: StatusCode) -> bool {
    match route.map(MatchedPath::as_str) {
        Some(access_token::KEY_SET_PATH) => answered.is_success(),
        Some(route) => health::is_probe(route),
        None => false,
    }
}

fn after_panic(payload: &(dyn Any + Send)) -> Response {
    let message = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    tracing::error!("a handler panicked: {}", message.unwrap_or("a payload that is not text"));
    Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

fn logged(path: &str) -> String {
    let holds_card_number = |part: &str| card_number::is_in(&percent_decode_str(part).decode_utf8_lossy());
    if path.split('/').any(holds_card_number) {
        return "[redacted: may hold a card's number]".to_owned();
    }
    let end = path.char_indices().nth(LONGEST_LOGGED_PATH).map_or(path.len(), |(at, _)| at);
    path[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_unless_it_may_hold_a_cards_number() {
        for path in ["/v1/products", "/v1/me/addresses/41111111-1111-4111-8111-000000000000", "/411111/1111111111"] {
            assert_eq!(logged(path), path);
        }
        assert_eq!(logged(&format!("/{}", "x".repeat(1_000))).len(), LONGEST_LOGGED_PATH);
        for path in ["/v1/4111111111111111", "/4111%201111%201111%201111", "/a/x4111-1111-1111-1111"] {
            assert!(!logged(path).contains("1111"), "{path}");
        }
    }
}
