//! A request's span for traces, by OpenTelemetry's conventions for HTTP servers.
//!
//! It holds the route and never the path, nor anything else that a stranger wrote.

use axum::http::StatusCode;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{TraceContext, request_metrics::OTHER_METHOD, trace_context::Caller};
use crate::{health, telemetry::traces};

/// Not there where nothing is traced, and for probes.
pub(super) struct ServerSpan(Span);

impl ServerSpan {
    /// `method` is from a fixed set. The span belongs to the caller's trace, where there is one.
    pub fn start(method: &'static str, route: Option<&str>, caller: Option<Caller>) -> Self {
        if route.is_some_and(health::is_probe) {
            return Self(Span::none());
        }
        // The conventions have names of their own for a method that is none of HTTP's.
        let (method, shown) = if method == OTHER_METHOD { ("_OTHER", "HTTP") } else { (method, method) };
        let span = info_span!(
            target: traces::TARGET,
            parent: None,
            "request",
            otel.kind = "server",
            otel.name = route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {route}")),
            http.request.method = method,
            http.route = route,
            url.scheme = "http",
        );
        if let Some(parent) = caller.map(remote) {
            // Refused only where nothing is traced.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
        Self(span)
    }

    pub fn span(&self) -> &Span {
        &self.0
    }

    /// What is passed on to whoever continues this trace.
    pub fn context(&self) -> Option<TraceContext> {
        if self.0.is_disabled() {
            return None;
        }
        let context = self.0.context();
        let span = context.span();
        let ours = span.span_context();
        ours.is_valid().then(|| {
            let (trace_id, span_id) = (ours.trace_id().to_bytes(), ours.span_id().to_bytes());
            TraceContext::at(u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id), ours.trace_flags().to_u8())
        })
    }

    /// A mistake of the client's is no error of the server's.
    pub fn answered(&self, status: StatusCode) {
        self.0.set_attribute("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.0.set_attribute("error.type", status.as_str().to_owned());
            self.0.set_status(Status::error(""));
        }
    }
}

fn remote(caller: Caller) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(caller.trace_id), SpanId::from(caller.span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::new(caller.flags), true, TraceState::default())
}
