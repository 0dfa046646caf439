//! Times that have to go together.

use std::time::Duration;

use worker::WorkerSettings;

use super::{
    check::{Check, Finding, Severity::Warning},
    queues::seconds,
};

const ABOUT: &str = "settings";
const LONGEST_LEASE: Duration = Duration::from_secs(12 * 60 * 60);

/// `polls_end_early`: whether a poll can be told to end, which SQS's can't.
pub fn judge(worker: &WorkerSettings, grace: Duration, polls_end_early: bool) -> Vec<Check> {
    vec![lease(worker), drain(worker, grace, polls_end_early)]
}

fn lease(worker: &WorkerSettings) -> Check {
    let needed = worker.handler_timeout * 2;
    if worker.lease >= needed {
        return Check::ok("lease-length", ABOUT);
    }
    let remedy = match needed <= LONGEST_LEASE {
        true => format!("export WORKER_LEASE_SECONDS={}", needed.as_secs()),
        false => format!("export WORKER_HANDLER_TIMEOUT_SECONDS={}", worker.lease.as_secs() / 2),
    };
    let finding = Finding::new(
        format!("WORKER_LEASE_SECONDS is {}", worker.lease.as_secs()),
        format!(
            "{} or more, twice WORKER_HANDLER_TIMEOUT_SECONDS, which is {}",
            needed.as_secs(),
            worker.handler_timeout.as_secs()
        ),
        "a statement is ended after half a lease, so a handler is cut short before its own time is up",
        remedy,
    );
    Check::found(Warning, "lease-length", ABOUT, finding)
}

fn drain(worker: &WorkerSettings, grace: Duration, polls_end_early: bool) -> Check {
    let (name, needed) = match worker.wait > worker.handler_timeout && !polls_end_early {
        true => ("WORKER_WAIT_SECONDS", worker.wait),
        false => ("WORKER_HANDLER_TIMEOUT_SECONDS", worker.handler_timeout),
    };
    if grace >= needed {
        return Check::ok("shutdown-grace", ABOUT);
    }
    let finding = Finding::new(
        format!("SHUTDOWN_GRACE_SECONDS is {}", grace.as_secs()),
        format!("{} or more, since {name} is {}", seconds(needed), needed.as_secs()),
        "a worker that is asked to stop finishes what is in hand, and where the grace ends first that is cancelled and done again",
        format!("export SHUTDOWN_GRACE_SECONDS={}", needed.as_secs()),
    );
    Check::found(Warning, "shutdown-grace", ABOUT, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::tests::found;

    fn worker(lease: u64, wait: u64, handler: u64) -> WorkerSettings {
        let [lease, wait, handler_timeout] = [lease, wait, handler].map(Duration::from_secs);
        WorkerSettings { lease, wait, handler_timeout, ..WorkerSettings::new("host:1", "0.1.0") }
    }

    #[test]
    fn the_defaults_go_together() {
        let checks = judge(&WorkerSettings::new("host:1", "0.1.0"), service::lifecycle::DEFAULT_GRACE, false);
        assert!(checks.iter().all(|check| check.finding().is_none()), "{checks:#?}");
    }

    #[test]
    fn a_lease_covers_its_handler_twice() {
        let with = |lease, handler| judge(&worker(lease, 10, handler), Duration::from_secs(40_000), false);
        assert_eq!(found(&with(60, 30), "lease-length"), None);
        let checks = with(60, 31);
        assert_eq!(found(&checks, "lease-length").unwrap().1.remedy, "export WORKER_LEASE_SECONDS=62");
        // Where no lease is long enough, the handler has to be quicker.
        let checks = with(60, 30_000);
        assert_eq!(found(&checks, "lease-length").unwrap().1.remedy, "export WORKER_HANDLER_TIMEOUT_SECONDS=30");
    }

    #[test]
    fn a_drain_is_given_the_time_of_a_handler_and_of_a_poll_that_can_not_be_told_to_end() {
        let with = |grace, wait, handler, early| judge(&worker(120, wait, handler), Duration::from_secs(grace), early);
        for (grace, wait, handler, early, is_found) in [
            (30, 10, 30, false, false),
            (29, 10, 30, false, true),
            (19, 20, 5, false, true),
            (20, 20, 5, false, false),
            (19, 20, 5, true, false),
            (4, 20, 5, true, true),
        ] {
            let checks = with(grace, wait, handler, early);
            assert_eq!(found(&checks, "shutdown-grace").is_some(), is_found, "{grace} {wait} {handler} {early}");
        }
        let checks = with(1, 20, 5, false);
        let finding = found(&checks, "shutdown-grace").unwrap().1;
        assert_eq!(finding.remedy, "export SHUTDOWN_GRACE_SECONDS=20");
        assert!(finding.should_be.contains("WORKER_WAIT_SECONDS is 20"), "{finding:?}");
    }
}
