//! Logs to stderr, metrics for Prometheus, and traces for a collector of OpenTelemetry where one is named.
//!
//! All three have one global home per process, because that is how `tracing` and `metrics` find them from anywhere.
//! Starting them twice, as tests in one process do, keeps the first.
//!
//! Logs and traces both come from `tracing`, and share nothing else: a span with the target `traces::TARGET` is for
//! traces and never shows in a log line, every other span and every event is for the log and is never exported. So what
//! may hold more than a trace should (a statement, an address) can't get into one by being logged.

mod collector;
mod in_request;
mod json_lines;
#[cfg(test)]
mod kept;
mod line_writer;
mod logging;
mod metrics;
pub(crate) mod traces;

use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use self::in_request::in_request;
pub use self::{
    logging::{LogFormat, TelemetrySettings, flush_logs},
    metrics::Metrics,
    traces::{TraceError, TraceSettings, Traces},
};

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging alone, for tools. A subscriber that is there already stays.
pub fn start_logging(settings: &TelemetrySettings) {
    install(settings, vec![logging::layer(settings)]);
}

/// Starts logging, and traces where there are settings for them. `process` is its name in traces, unless those settings
/// have another. Call it within the runtime that the process works on.
pub fn start(logging: &TelemetrySettings, traces: Option<&TraceSettings>, process: &str) -> Result<Traces, TraceError> {
    let mut layers = vec![logging::layer(logging)];
    let traces = match traces {
        Some(settings) => {
            let (started, layer) = traces::start(settings, process)?;
            layers.push(layer);
            started
        }
        None => Traces::default(),
    };
    install(logging, layers);
    Ok(traces)
}

fn install(logging: &TelemetrySettings, layers: Vec<BoxedLayer>) {
    if tracing_subscriber::registry().with(layers).try_init().is_ok() {
        logging::take_panics(logging);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Env;

    #[test]
    fn starting_twice_keeps_the_first() {
        let first = Metrics::start("first").unwrap();
        let second = Metrics::start("second").unwrap();
        ::metrics::counter!("starts_total").increment(1);
        for rendered in [first.render(), second.render()] {
            assert!(rendered.contains("starts_total 1"), "{rendered}");
            assert!(rendered.contains(r#"waypost_build_info{process="first""#), "{rendered}");
        }
        let settings = TelemetrySettings::from_env(&Env::of::<&str, &str>([])).unwrap();
        start_logging(&settings);
        start_logging(&settings);
    }
}
