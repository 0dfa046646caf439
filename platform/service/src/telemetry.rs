//! Logs to stderr, metrics for Prometheus.
//!
//! Both have one global home per process, because that is how `tracing` and `metrics` find them from anywhere. Starting
//! them twice, as tests in one process do, keeps the first.

use std::{
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{AppEnv, Env, SettingError, SettingErrors, all};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of JSON per event, for machines.
    Json,
    /// For people; coloured where stderr is a terminal.
    Text,
}

#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    pub format: LogFormat,
    /// As `RUST_LOG` writes it.
    pub filter: String,
}

const DEFAULT_FILTER: &str = "info,sqlx::postgres::notice=warn";

impl TelemetrySettings {
    /// `LOG_FORMAT` (`text` in development, `json` elsewhere) and `RUST_LOG` (`info`, without what PostgreSQL skipped
    /// because it was there already).
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let filter = || {
            let filter = env.optional("RUST_LOG")?.unwrap_or(DEFAULT_FILTER);
            match EnvFilter::try_new(filter) {
                Ok(_) => Ok(filter.to_owned()),
                Err(_) => Err(SettingError::wrong("RUST_LOG", filter, "a filter such as info,sqlx=warn")),
            }
        };
        let (app_env, format, filter) = all((AppEnv::from_env(env), log_format(env), filter()))?;
        let by_environment = if app_env == AppEnv::Development { LogFormat::Text } else { LogFormat::Json };
        Ok(Self { format: format.unwrap_or(by_environment), filter })
    }
}

fn log_format(env: &Env) -> Result<Option<LogFormat>, SettingError> {
    match env.optional("LOG_FORMAT")? {
        None => Ok(None),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some("text") => Ok(Some(LogFormat::Text)),
        Some(other) => Err(SettingError::wrong("LOG_FORMAT", other, "json or text")),
    }
}

/// Starts logging. A subscriber that is there already stays.
pub fn start_logging(settings: &TelemetrySettings) {
    let filter = EnvFilter::new(&settings.filter);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(io::stderr).boxed()
        }
        LogFormat::Text => fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed(),
    };
    let started = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok();
    if started && settings.format == LogFormat::Json {
        panic::set_hook(Box::new(log_panic));
    }
}

/// The default hook writes several plain lines, which a reader of JSON can't read.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a payload that is not text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(place, thread, "panicked: {message}");
}

/// What was measured so far, for `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Bounds for every histogram of seconds, from a database round trip to an event that waited out an outage.
const SECONDS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

impl Metrics {
    /// Makes Prometheus the recorder of this process. `process` is its name in `waypost_build_info`.
    pub fn start(process: &str) -> Result<Self, BuildError> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        static INSTALLING: Mutex<()> = Mutex::new(());

        // `OnceLock` can't be filled by something that may fail, and two installers must not race.
        let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = if let Some(handle) = INSTALLED.get() {
            handle.clone()
        } else {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let handle = PrometheusBuilder::new().set_buckets_for_metric(seconds, SECONDS)?.install_recorder()?;
            INSTALLED.get_or_init(|| handle).clone()
        };
        drop(installing);

        describe_gauge!("waypost_build_info", Unit::Count, "1, with the process and its version as labels");
        gauge!("waypost_build_info", "process" => process.to_owned(), "version" => env!("CARGO_PKG_VERSION")).set(1);
        Ok(Self(handle))
    }

    /// The text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds recorded samples together from time to time, so that memory stays bounded when nobody scrapes.
    pub async fn keep_up(self, soft: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut ticks = interval(UPKEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<TelemetrySettings, String> {
        TelemetrySettings::from_env(&Env::of(variables.iter().copied())).map_err(|error| error.to_string())
    }

    #[test]
    fn people_get_text_and_machines_json() {
        assert_eq!(read(&[]).unwrap().format, LogFormat::Text);
        assert_eq!(read(&[("APP_ENV", "production")]).unwrap().format, LogFormat::Json);
        assert_eq!(read(&[("APP_ENV", "production"), ("LOG_FORMAT", "text")]).unwrap().format, LogFormat::Text);
        assert_eq!(
            read(&[("LOG_FORMAT", "xml"), ("RUST_LOG", "a=b=c")]).unwrap_err(),
            "2 settings are wrong:\n  \
             LOG_FORMAT is `xml`, should be json or text\n  \
             RUST_LOG is `a=b=c`, should be a filter such as info,sqlx=warn"
        );
    }

    #[test]
    fn starting_twice_keeps_the_first() {
        let first = Metrics::start("first").unwrap();
        let second = Metrics::start("second").unwrap();
        metrics::counter!("starts_total").increment(1);
        for rendered in [first.render(), second.render()] {
            assert!(rendered.contains("starts_total 1"), "{rendered}");
            assert!(rendered.contains(r#"waypost_build_info{process="first""#), "{rendered}");
        }
        start_logging(&read(&[]).unwrap());
        start_logging(&read(&[]).unwrap());
    }
}
