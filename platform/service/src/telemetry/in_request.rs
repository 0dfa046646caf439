//! Which request a log line is of.
//!
//! Whatever is logged while a request is answered holds its trace id. A span of the log would say as much, and costs more: it
//! is entered and left whenever the request's task goes on, and sqlx enters it again in three places around each statement,
//! each time by way of everything that listens to spans. So the id is a value of the task, read where a line is written.
//!
//! What a request starts on another task or thread is not in it, as with a span.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

use crate::http::TraceContext;

tokio::task_local! {
    static TRACE: TraceContext;
}

/// What `answering` logs is of this trace.
pub(crate) fn in_request<F: Future>(trace: TraceContext, answering: F) -> impl Future<Output = F::Output> {
    TRACE.scope(trace, answering)
}

/// Writes the trace id, where there is one.
pub(super) fn with_trace_id(write: impl FnOnce(&str) -> fmt::Result) -> fmt::Result {
    TRACE.try_with(|trace| write(trace.trace_id())).unwrap_or(Ok(()))
}

/// Events as lines for people: the library's own, with the request's trace id in the end.
pub(super) struct TextLines(pub Format<Full>);

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(line.trim_end_matches('\n'))?;
        with_trace_id(|id| write!(writer, " trace_id={id}"))?;
        writer.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::get};
    use tokio::task::yield_now;
    use tower::ServiceExt;
    use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt};

    use super::*;
    use crate::{
        http::{HttpSettings, app},
        settings::Env,
        telemetry::{
            json_lines::{JsonLines, SpanFields},
            kept::Kept,
        },
    };

    /// Two requests that take turns on one thread, and a line of neither.
    fn log(layer: impl Layer<Registry> + Send + Sync, traces: [&TraceContext; 2]) {
        let request = async |trace: &TraceContext, name| {
            in_request(*trace, async {
                tracing::info!(name, "begun");
                yield_now().await;
                tracing::info!(name, "ended");
            })
            .await;
        };
        let both = async {
            tokio::join!(request(traces[0], "first"), request(traces[1], "second"));
            tracing::info!("of no request");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), || runtime.block_on(both));
    }

    #[test]
    fn each_line_says_which_request_it_is_of_and_no_other_says_so() {
        let traces = [&TraceContext::start(), &TraceContext::start()];
        let json = |name: &str, trace: &TraceContext| {
            let said = format!(r#""name":"{name}","target""#);
            (said, format!(r#","trace_id":"{}"}}"#, trace.trace_id()))
        };
        let text = |name: &str, trace: &TraceContext| {
            (format!("name=\"{name}\""), format!("name=\"{name}\" trace_id={}", trace.trace_id()))
        };
        let (machines, people) = (Kept::default(), Kept::default());
        let lines = fmt::layer().fmt_fields(SpanFields).event_format(JsonLines);
        log(lines.with_writer(machines.clone()), traces);
        let lines = fmt::layer().event_format(TextLines(fmt::format().with_ansi(false)));
        log(lines.with_writer(people.clone()), traces);
        check(&machines, &[json("first", traces[0]), json("second", traces[1])]);
        check(&people, &[text("first", traces[0]), text("second", traces[1])]);
    }

    #[test]
    fn a_handler_logs_as_the_request_that_it_answers() {
        let kept = Kept::default();
        let layer = fmt::layer().fmt_fields(SpanFields).event_format(JsonLines).with_writer(kept.clone());
        let settings = HttpSettings::of_api(&Env::of::<&str, &str>([])).unwrap();
        let app = app(Router::new().route("/", get(async || tracing::info!("in the handler"))), &settings);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asking = app.oneshot(Request::new(Body::empty()));
        let subscriber = Registry::default().with(layer);
        let answer = tracing::subscriber::with_default(subscriber, || runtime.block_on(asking)).unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        for said in ["in the handler", "answered"] {
            let text = kept.text();
            let line = text.lines().find(|line| line.contains(said)).unwrap();
            assert_eq!(line.matches(&format!(r#""trace_id":"{id}""#)).count(), 1, "{line}");
        }
    }

    /// Of each request what its lines hold, and what they end with.
    fn check(kept: &Kept, requests: &[(String, String)]) {
        let text = kept.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{lines:?}");
        for (said, end) in requests {
            let of_it: Vec<_> = lines.iter().filter(|line| line.contains(said.as_str())).collect();
            assert_eq!(of_it.len(), 2, "{text}");
            assert!(of_it.iter().all(|line| line.ends_with(end.as_str())), "{text}");
        }
        assert!(lines[4].contains("of no request") && !lines[4].contains("trace_id"), "{}", lines[4]);
    }
}
