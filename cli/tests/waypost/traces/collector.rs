//! A collector of OpenTelemetry: it takes spans by OTLP over HTTP, or doesn't, as it is told.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use service::http::{self, HttpSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// Answers that the request is at fault, which nobody repeats.
    Refuses,
    /// Never answers.
    Hangs,
}

/// A span, and how the process that it is of presents itself.
#[derive(Debug, Clone)]
pub struct Collected {
    pub service: String,
    pub environment: String,
    pub api_key: String,
    pub span: Span,
}

pub struct Collector {
    pub endpoint: String,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    mood: AtomicU8,
    requests: AtomicUsize,
    spans: Mutex<Vec<Collected>>,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let known = Arc::new(Known { mood: AtomicU8::new(mood as u8), ..Known::default() });
        let app = Router::new().route("/v1/traces", post(take)).with_state(known.clone());
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(http::serve(listener, app, HttpSettings::default(), soft, hard));
        Self { endpoint, known }
    }

    pub fn turn(&self, mood: Mood) {
        self.known.mood.store(mood as u8, Ordering::Relaxed);
    }

    pub fn requests(&self) -> usize {
        self.known.requests.load(Ordering::Relaxed)
    }

    pub fn spans(&self) -> Vec<Collected> {
        self.known.spans.lock().unwrap().clone()
    }

    /// The only span of this kind in which everything is as wanted.
    pub fn only(&self, kind: SpanKind, wanted: impl Fn(&Collected) -> bool) -> Collected {
        let spans = self.spans();
        let found: Vec<_> = spans.iter().filter(|found| found.span.kind() == kind && wanted(found)).collect();
        assert_eq!(found.len(), 1, "{kind:?} in {spans:#?}");
        found[0].clone()
    }
}

impl Collected {
    pub fn attribute(&self, key: &str) -> String {
        attribute(&self.span.attributes, key)
    }
}

/// Texts as they are, numbers in decimals; empty where there is none.
fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

async fn take(State(known): State<Arc<Known>>, headers: HeaderMap, body: Bytes) -> Response {
    known.requests.fetch_add(1, Ordering::Relaxed);
    match known.mood.load(Ordering::Relaxed) {
        mood if mood == Mood::Refuses as u8 => return StatusCode::BAD_REQUEST.into_response(),
        mood if mood == Mood::Hangs as u8 => pending().await,
        _ => {}
    }
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.unwrap().attributes;
        let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        let collected = spans.map(|span| Collected {
            service: attribute(&resource, "service.name"),
            environment: attribute(&resource, "deployment.environment.name"),
            api_key: headers.get("x-api-key").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default(),
            span,
        });
        known.spans.lock().unwrap().extend(collected);
    }
    ExportTraceServiceResponse::default().encode_to_vec().into_response()
}
