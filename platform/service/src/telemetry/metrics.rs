//! Metrics for Prometheus.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What was measured so far, for `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Bounds for every histogram of seconds, from a database round trip to an event that waited out an outage.
const SECONDS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// Bounds for what is done together. Without bounds they would be quantiles, which can't be added up over a fleet.
const AT_ONCE: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

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
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(seconds, SECONDS)?
                .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), AT_ONCE)?
                .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), AT_ONCE)?
                .install_recorder()?;
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
