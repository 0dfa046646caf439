//! A batch as a span for traces, by OpenTelemetry's conventions for messaging.
//!
//! The span links to what wrote its events and is in no trace of theirs: a batch holds events of many, and a single one
//! should look no different for having come alone.

use std::collections::HashMap;

use opentelemetry::{Context, global, trace::TraceContextExt};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::measure::Labels;

/// The target that the processes' telemetry exports.
const TARGET: &str = "waypost::trace";

/// The span in which `handler` applies a batch. Each message has a `traceparent` or none; one that is not valid is passed
/// over.
pub(crate) fn processing<'a>(
    labels: &Labels,
    handler: &'static str,
    traceparents: impl ExactSizeIterator<Item = Option<&'a str>>,
) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.kind = "consumer",
        otel.name = format!("process {}", labels.queue),
        messaging.system = labels.system,
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = labels.queue,
        messaging.consumer.group.name = labels.consumer,
        messaging.batch.message_count = traceparents.len() as u64,
        waypost.handler = handler,
    );
    if !span.is_disabled() {
        for traceparent in traceparents.flatten() {
            let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
            let written_by =
                global::get_text_map_propagator(|reader| reader.extract_with_context(&Context::new(), &carrier));
            // An invalid context makes no link.
            span.add_link(written_by.span().span_context().clone());
        }
    }
    span
}
