//! Settings of processes that belong to no service.

use std::time::Duration;

use messaging::RetryDelay;
use outbox::RelaySettings;
use service::{
    http::ListenSetting,
    settings::{Env, SettingError, SettingErrors, all},
};
use worker::WorkerSettings;

/// Where a producer's relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayPlace {
    Inline,
    Standalone,
}

/// `OUTBOX_RELAY`.
pub fn relay_place(env: &Env) -> Result<RelayPlace, SettingError> {
    const NAME: &str = "OUTBOX_RELAY";
    match env.optional(NAME)? {
        None | Some("inline") => Ok(RelayPlace::Inline),
        Some("standalone") => Ok(RelayPlace::Standalone),
        Some(other) => Err(SettingError::wrong(NAME, other, "inline or standalone")),
    }
}

/// Where a relay that runs by itself answers health checks and metrics.
pub const RELAY_ADMIN: ListenSetting = ListenSetting::new("RELAY_ADMIN_LISTEN", 9101);

/// `RELAY_LEASE_SECONDS`: how long what a relay claimed is left alone by others, also after that relay has died.
pub fn relay_settings(env: &Env) -> Result<RelaySettings, SettingError> {
    let default = RelaySettings::default();
    let lease = env.seconds_or("RELAY_LEASE_SECONDS", default.lease, 4..=3_600)?;
    Ok(RelaySettings { lease, ..default })
}

/// What a worker's pool has to have beside its transactions: for failures, cancelling, probes and its heartbeat.
const SPARE_CONNECTIONS: u32 = 2;

/// `connections` is how many its pool may have, where that is known: by default a worker begins no transactions that would
/// leave it none to record a failure by.
pub fn worker_settings(env: &Env, connections: Option<u32>) -> Result<WorkerSettings, SettingErrors> {
    let default = WorkerSettings::new(worker_name(), env!("CARGO_PKG_VERSION"));
    let room = connections.map_or(default.concurrency, |most| most.saturating_sub(SPARE_CONNECTIONS).max(1) as usize);
    let default = WorkerSettings { concurrency: default.concurrency.min(room), ..default };
    let times = all((
        env.seconds_or("WORKER_LEASE_SECONDS", default.lease, 1..=43_200),
        env.seconds_or("WORKER_WAIT_SECONDS", default.wait, 0..=20),
        env.seconds_or("WORKER_HANDLER_TIMEOUT_SECONDS", default.handler_timeout, 1..=43_200),
        env.millis_or("WORKER_RETRY_BASE_MILLIS", Duration::from_secs(2), 1..=600_000),
        env.seconds_or("WORKER_HOLD_SECONDS", default.hold, 1..=36_000),
    ));
    let sizes = all((
        env.number_or("WORKER_BATCH", default.batch, 1..=1_000),
        env.number_or("WORKER_CONCURRENCY", default.concurrency, 1..=64),
        env.number_or("WORKER_MAX_ATTEMPTS", default.max_attempts, 1..=100),
        env.number_or("WORKER_MAX_POLLS", default.most_polls, 1..=64),
        env.number_or("WORKER_MAX_HELD", default.most_held, 10..=100_000),
    ));
    let (times, sizes) = all((times, sizes))?;
    let (lease, wait, handler_timeout, retry, hold) = times;
    let (batch, concurrency, max_attempts, most_polls, most_held) = sizes;
    let settings = WorkerSettings {
        lease,
        wait,
        handler_timeout,
        retry: RetryDelay::new(retry, Duration::from_secs(15 * 60)),
        hold,
        batch,
        concurrency,
        max_attempts,
        most_polls,
        most_held,
        ..default
    };
    // Each is in range; this is about whether they go together.
    settings.check().map_err(|wrong| {
        let name = "WORKER_LEASE_SECONDS";
        SettingError::wrong(name, &lease.as_secs().to_string(), &format!("{} ({})", wrong.expected, wrong.name))
    })?;
    Ok(settings)
}

/// Host and process, as failures name their worker.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}:{}", if host.is_empty() { "host" } else { host }, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_pool_keeps_connections_for_more_than_transactions() {
        let concurrency = |variables: &[(&str, &str)], connections| {
            worker_settings(&Env::of(variables.iter().copied()), connections).unwrap().concurrency
        };
        let by_pool = [None, Some(20), Some(5), Some(2), Some(1)].map(|connections| concurrency(&[], connections));
        assert_eq!(by_pool, [4, 4, 3, 1, 1]);
        assert_eq!(concurrency(&[("WORKER_CONCURRENCY", "9")], Some(5)), 9, "what is set is taken, and doctor warns");
    }

    #[test]
    fn a_lease_shorter_than_the_poll_is_refused_by_name() {
        let env = Env::of([("WORKER_LEASE_SECONDS", "5")]);
        assert_eq!(
            worker_settings(&env, None).unwrap_err().to_string(),
            "WORKER_LEASE_SECONDS is `5`, should be between twice the poll's wait (10s) plus a second, and 12 hours (the lease)"
        );
    }
}
