//! Traces by OpenTelemetry, sent by OTLP over HTTP.
//!
//! Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; then a span costs nothing but a look at its target. Spans
//! are kept in a queue of bounded length and sent by a thread of their own: a collector that is slow or away costs spans,
//! never the work that they tell of. What can't be sent is said once, and once more when it can be again.
//!
//! An attribute holds names and numbers that we chose. Never a payload, an address, a path or a statement.

use std::time::Duration;

use opentelemetry::{KeyValue, global, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector},
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn};
use url::Url;

use super::{
    BoxedLayer,
    collector::{Collector, CollectorError},
};
use crate::settings::{Env, SettingError, SettingErrors, all};

/// The target of a span that is for traces. Crates that don't know this one write it out.
pub const TARGET: &str = "waypost::trace";

/// A batch of events is one span with a link to each; the library's own limit is 128.
const MOST_LINKS: u32 = 1_000;
/// How long the end of a process may wait for its last spans to arrive.
const FLUSH: Duration = Duration::from_secs(2);

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const TRACES_PATH: &str = "v1/traces";
const SERVICE_NAME: &str = "service.name";

#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Where spans are sent to, path included.
    endpoint: Url,
    /// Where it is not set, the resource attributes may have it, and else it is the process's name.
    service_name: Option<String>,
    sampler: Sampler,
}

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("the collector can't be spoken to")]
    Collector(#[from] CollectorError),
    #[error("the exporter of traces can't be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl TraceSettings {
    /// `None` without an endpoint: nothing is traced then, whatever else is set.
    pub fn from_env(env: &Env) -> Result<Option<Self>, SettingErrors> {
        // The last two are read by the library, in the way that its specification asks.
        let (endpoint, sampler, protocol, service_name, _, _) = all((
            endpoint(env),
            sampler(env),
            protocol(env),
            env.optional("OTEL_SERVICE_NAME"),
            env.optional("OTEL_RESOURCE_ATTRIBUTES"),
            env.optional("OTEL_EXPORTER_OTLP_HEADERS"),
        ))?;
        let ((), service_name) = (protocol, service_name.map(str::to_owned));
        Ok(endpoint.map(|endpoint| Self { endpoint, service_name, sampler }))
    }
}

/// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` as it is, or `OTEL_EXPORTER_OTLP_ENDPOINT` with the path for traces.
fn endpoint(env: &Env) -> Result<Option<Url>, SettingErrors> {
    let (general, own) = all((url(env, ENDPOINT), url(env, TRACES_ENDPOINT)))?;
    Ok(own.or_else(|| {
        let mut general = general?;
        let path = format!("{}/{TRACES_PATH}", general.path().trim_end_matches('/'));
        general.set_path(&path);
        Some(general)
    }))
}

fn url(env: &Env, name: &str) -> Result<Option<Url>, SettingError> {
    let Some(text) = env.optional(name)? else { return Ok(None) };
    let is_fit = |url: &Url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        matches!(url.scheme(), "http" | "https") && url.has_host() && !has_user
    };
    if let Some(url) = Url::parse(text).ok().filter(is_fit) {
        return Ok(Some(url));
    }
    let should_be =
        "a URL such as http://127.0.0.1:4318, without a user (OTEL_EXPORTER_OTLP_HEADERS is for credentials)";
    // A password may be in it.
    Err(if text.contains('@') {
        SettingError::hidden(name, should_be)
    } else {
        SettingError::wrong(name, text, should_be)
    })
}

/// `OTEL_EXPORTER_OTLP_PROTOCOL`: a collector's port speaks one protocol, and another than ours would be met by silence.
fn protocol(env: &Env) -> Result<(), SettingError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    match env.optional(NAME)? {
        None | Some("http/protobuf") => Ok(()),
        Some(other) => Err(SettingError::wrong(NAME, other, "http/protobuf, or unset")),
    }
}

/// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
fn sampler(env: &Env) -> Result<Sampler, SettingErrors> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let (name, argument) = all((env.optional(NAME), env.optional(ARGUMENT)))?;
    let ratio = || match argument.map_or(Ok(1.0), str::parse) {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Sampler::TraceIdRatioBased(ratio)),
        _ => Err(SettingError::wrong(ARGUMENT, argument.unwrap_or_default(), "a number from 0 to 1")),
    };
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    Ok(match name {
        None | Some("parentbased_always_on") => by_parent(Sampler::AlwaysOn),
        Some("parentbased_always_off") => by_parent(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => by_parent(ratio()?),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => ratio()?,
        Some(other) => {
            let should_be = "always_on, always_off or traceidratio, or one of them after parentbased_";
            return Err(SettingError::wrong(NAME, other, should_be).into());
        }
    })
}

/// The traces of a process, or none.
#[derive(Debug, Default)]
#[must_use = "the last spans arrive only if it is flushed"]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what has not been sent yet, and gives up after two seconds. No span that ends later is sent.
    pub async fn flush(self) {
        let Some(provider) = self.0 else { return };
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last traces did not reach the collector within {} s", FLUSH.as_secs());
        }
    }
}

pub(super) fn start(settings: &TraceSettings, process: &str) -> Result<(Traces, BoxedLayer), TraceError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.endpoint.as_str())
        .with_http_client(Collector::at(&settings.endpoint)?)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(settings.sampler.clone())
        .with_max_links_per_span(MOST_LINKS)
        .with_resource(resource(settings, process))
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("waypost"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false);
    let only_ours = filter_fn(is_for_traces).with_max_level_hint(LevelFilter::INFO);
    Ok((Traces(Some(provider)), layer.with_filter(only_ours).boxed()))
}

fn is_for_traces(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}

fn resource(settings: &TraceSettings, process: &str) -> Resource {
    let in_attributes = EnvResourceDetector::new().detect().get(&SERVICE_NAME.into());
    let name =
        settings.service_name.clone().map(Into::into).or(in_attributes).unwrap_or_else(|| process.to_owned().into());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder_empty()
        .with_attribute(version)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(name)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        TraceSettings::from_env(&Env::of(variables.iter().copied())).map_err(|error| error.to_string())
    }

    fn endpoint_of(variables: &[(&str, &str)]) -> String {
        read(variables).unwrap().unwrap().endpoint.into()
    }

    fn sampler_of(name: &str, argument: &str) -> Result<String, String> {
        let variables =
            [(ENDPOINT, "http://c:4318"), ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        read(&variables).map(|settings| format!("{:?}", settings.unwrap().sampler))
    }

    #[test]
    fn without_an_endpoint_nothing_is_traced() {
        assert!(read(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_SAMPLER", "always_on")]).unwrap().is_none());
        assert!(read(&[(ENDPOINT, " ")]).unwrap().is_none());
    }

    #[test]
    fn the_general_endpoint_gets_the_path_for_traces_and_the_one_for_traces_is_as_it_is() {
        assert_eq!(endpoint_of(&[(ENDPOINT, "http://collector:4318")]), "http://collector:4318/v1/traces");
        assert_eq!(endpoint_of(&[(ENDPOINT, "https://collector/otlp/")]), "https://collector/otlp/v1/traces");
        let both = [(ENDPOINT, "http://collector:4318"), (TRACES_ENDPOINT, "http://traces:9411/in")];
        assert_eq!(endpoint_of(&both), "http://traces:9411/in");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_by_name_and_a_password_is_not_shown() {
        for name in [ENDPOINT, TRACES_ENDPOINT] {
            for (wrong, held) in [
                ("collector", "is `collector`"),
                ("collector:4318", "is `collector:4318`"),
                ("ftp://collector", "is `ftp://collector`"),
                ("http://ada:hunter2@collector:4318", "holds a value that is not shown"),
            ] {
                let error = read(&[(name, wrong)]).unwrap_err();
                let expected = format!("{name} {held}, should be a URL such as http://127.0.0.1:4318");
                assert!(error.starts_with(&expected), "{error}");
            }
        }
        let error = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert_eq!(error, "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`, should be http/protobuf, or unset");
    }

    #[test]
    fn samplers_have_the_names_of_the_specification() {
        assert_eq!(sampler_of("", "").unwrap(), "ParentBased(AlwaysOn)");
        assert_eq!(sampler_of("always_off", "").unwrap(), "AlwaysOff");
        assert_eq!(sampler_of("traceidratio", "0.25").unwrap(), "TraceIdRatioBased(0.25)");
        assert_eq!(sampler_of("parentbased_traceidratio", "").unwrap(), "ParentBased(TraceIdRatioBased(1.0))");
        for argument in ["1.5", "-1", "NaN", "half"] {
            let error = sampler_of("traceidratio", argument).unwrap_err();
            assert_eq!(error, format!("OTEL_TRACES_SAMPLER_ARG is `{argument}`, should be a number from 0 to 1"));
        }
        let error = sampler_of("xray", "").unwrap_err();
        assert!(error.starts_with("OTEL_TRACES_SAMPLER is `xray`, should be always_on"), "{error}");
    }

    #[tokio::test]
    async fn a_collector_is_spoken_to_with_and_without_tls() {
        for endpoint in ["http://127.0.0.1:9", "https://127.0.0.1:9"] {
            let settings = read(&[(ENDPOINT, endpoint)]).unwrap().unwrap();
            assert!(Collector::at(&settings.endpoint).is_ok(), "{endpoint}");
        }
    }
}
