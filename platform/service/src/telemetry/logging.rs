//! Logs to stderr.

use std::{
    io::{self, IsTerminal, Stderr},
    panic::{self, PanicHookInfo},
    str::FromStr,
    sync::LazyLock,
};

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, LevelFilter, Targets},
    fmt::{self, MakeWriter},
};

use super::{
    BoxedLayer,
    in_request::TextLines,
    json_lines::{JsonLines, SpanFields},
    line_writer::{Line, LineWriter},
    traces,
};
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

static STDERR: LazyLock<LineWriter<Stderr>> = LazyLock::new(|| LineWriter::new(io::stderr()));

struct ToStderr;

impl MakeWriter<'_> for ToStderr {
    type Writer = Line<'static, Stderr>;

    fn make_writer(&self) -> Self::Writer {
        STDERR.make_writer()
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Self::Writer {
        STDERR.make_writer_for(metadata)
    }
}

/// Returns when everything that was logged before has been written. The last that a process does: lines below a warning may
/// wait for a moment, and end with it.
pub fn flush_logs() {
    STDERR.flush();
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

pub(super) fn layer(settings: &TelemetrySettings) -> BoxedLayer {
    match settings.format {
        LogFormat::Json => {
            let layer = fmt::layer().fmt_fields(SpanFields).event_format(JsonLines).with_writer(ToStderr);
            filtered(layer, &settings.filter)
        }
        LogFormat::Text => {
            let lines = TextLines(fmt::format().with_ansi(io::stderr().is_terminal()));
            filtered(fmt::layer().event_format(lines).with_writer(ToStderr), &settings.filter)
        }
    }
}

/// Spans for traces repeat what the log says in its own way, so they never show here.
fn filtered(layer: impl Layer<Registry> + Send + Sync, filter: &str) -> BoxedLayer {
    // Where a filter says nothing of spans, it need not be asked each time that one is entered.
    match Targets::from_str(filter) {
        Ok(targets) if !filter.contains(['[', '{']) => {
            layer.with_filter(targets.with_target(traces::TARGET, LevelFilter::OFF)).boxed()
        }
        _ => layer.with_filter(EnvFilter::new(filter).add_directive(not_traces())).boxed(),
    }
}

fn not_traces() -> Directive {
    format!("{}=off", traces::TARGET).parse().expect("a target and a level are a directive")
}

/// Lets panics be logged, where the log is for machines.
pub(super) fn take_panics(settings: &TelemetrySettings) {
    if settings.format == LogFormat::Json {
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
}
