//! A publication as a span for traces, by OpenTelemetry's conventions for messaging.
//!
//! The span is in no request's trace: what is sent together was written by many requests, which have had their answers.
//! It links to them. Which span wrote an event its envelope says, so nothing is lost when the relay is another process.

use std::{borrow::Cow, collections::HashMap};

use messaging::{EntryError, MessageId};
use opentelemetry::{
    Context, global,
    trace::{SpanContext, Status, TraceContextExt},
};
use serde::Deserialize;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::lease::Claimed;

/// The target that the processes' telemetry exports.
const TARGET: &str = "waypost::trace";

/// For `rows`, which are sent to one topic.
pub(crate) fn sending(system: &'static str, topic: &str, rows: &[&Claimed]) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "send",
        otel.kind = "producer",
        otel.name = format!("send {topic}"),
        messaging.system = system,
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = topic,
        messaging.batch.message_count = rows.len() as u64,
    );
    if !span.is_disabled() {
        rows.iter().filter_map(|row| written_by(&row.message.body)).for_each(|context| span.add_link(context));
    }
    span
}

/// The first failure is the span's: a batch is mostly refused as a whole.
pub(crate) fn sent(span: &Span, results: &[Result<MessageId, EntryError>]) {
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        span.set_attribute("error.type", error_type(error).to_owned());
        span.set_status(Status::error(""));
    }
}

/// The bus's own code for it.
pub(crate) fn error_type(error: &EntryError) -> &str {
    match error {
        EntryError::Refused { code, .. } | EntryError::Gone { code } | EntryError::Unavailable { code, .. } => code,
    }
}

/// The context in which an event was written; invalid ones are none.
fn written_by(envelope: &str) -> Option<SpanContext> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow)]
        traceparent: Option<Cow<'a, str>>,
    }
    let traceparent = serde_json::from_str::<Written<'_>>(envelope).ok()?.traceparent?;
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.into_owned())]);
    let context = global::get_text_map_propagator(|reader| reader.extract_with_context(&Context::new(), &carrier));
    let written_by = context.span().span_context().clone();
    written_by.is_valid().then_some(written_by)
}
