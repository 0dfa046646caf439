use std::time::Duration;

use messaging::RetryDelay;

/// How a worker works. The defaults suit a service whose handlers write to one PostgreSQL.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Who this worker is, in `event_failures` and dead letters: host and process.
    pub worker: String,
    /// The version of the program.
    pub version: String,
    /// How long a received message is hidden from other workers before the lease is extended.
    pub lease: Duration,
    /// How long a poll waits for a first message. At most 20 s.
    pub wait: Duration,
    /// Parallel polls at the most; one where there is little to do.
    pub most_polls: usize,
    /// Messages held at the most, running and waiting together.
    pub most_held: usize,
    /// Bytes held at the most.
    pub most_held_bytes: usize,
    /// Events per transaction at the most.
    pub batch: usize,
    /// Transactions at a time.
    pub concurrency: usize,
    /// How long a handler may take for one call, unless it says otherwise itself. Then it is cancelled, at the server too.
    pub handler_timeout: Duration,
    /// Recorded attempts of an event before it is dead-lettered.
    pub max_attempts: u32,
    /// Back-off of an event that failed, by its attempts.
    pub retry: RetryDelay,
    /// How often to probe what is down.
    pub probe: RetryDelay,
    /// How long messages are held while a dependency is down, before they are handed back with a delay.
    pub hold: Duration,
}

/// A setting that contradicts another.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name} is {held}, it should be {expected}")]
pub struct InvalidSettings {
    pub name: &'static str,
    pub held: String,
    pub expected: String,
}

/// A batch of ten messages of the largest size must fit into the credit, or no poll could ever start.
pub(crate) const POLL_MESSAGES: usize = 10;
pub(crate) const POLL_KIB: usize = POLL_MESSAGES * messaging::MAX_BATCH_BYTES / 1024;

impl WorkerSettings {
    pub fn new(worker: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            worker: worker.into(),
            version: version.into(),
            lease: Duration::from_secs(60),
            wait: Duration::from_secs(10),
            most_polls: 8,
            most_held: 1_000,
            most_held_bytes: 64 * 1024 * 1024,
            batch: 100,
            concurrency: 4,
            handler_timeout: Duration::from_secs(30),
            max_attempts: 5,
            retry: RetryDelay::new(Duration::from_secs(2), Duration::from_secs(15 * 60)),
            probe: RetryDelay::new(Duration::from_millis(500), Duration::from_secs(15)),
            hold: Duration::from_secs(30 * 60),
        }
    }

    pub fn check(&self) -> Result<(), InvalidSettings> {
        let wrong = |name, held: String, expected: String| Err(InvalidSettings { name, held, expected });
        if self.wait > Duration::from_secs(20) {
            return wrong("the poll's wait", format!("{:?}", self.wait), "at most 20 s, SQS allows no more".into());
        }
        // A message may be handed out at the end of the wait, while its lease is counted from the start of the poll, and it
        // has to last until the next round of extensions.
        if self.lease < self.wait * 2 + Duration::from_secs(1) || self.lease > Duration::from_secs(12 * 60 * 60) {
            let expected = format!("between twice the poll's wait ({:?}) plus a second, and 12 hours", self.wait);
            return wrong("the lease", format!("{:?}", self.lease), expected);
        }
        if self.most_held < POLL_MESSAGES {
            return wrong("the most messages held", self.most_held.to_string(), format!("at least {POLL_MESSAGES}"));
        }
        if self.most_held_bytes / 1024 < POLL_KIB {
            let expected = format!("at least {} bytes, one full poll", POLL_KIB * 1024);
            return wrong("the most bytes held", self.most_held_bytes.to_string(), expected);
        }
        if self.handler_timeout.is_zero() {
            return wrong("the handler's time", "nothing".into(), "longer than nothing".into());
        }
        for (name, value) in [
            ("the batch size", self.batch),
            ("the concurrency", self.concurrency),
            ("the most polls", self.most_polls),
            ("the most attempts", self.max_attempts as usize),
        ] {
            if value == 0 {
                return wrong(name, "0".into(), "at least 1".into());
            }
        }
        Ok(())
    }

    /// Waiting for another worker's claim ends well before the lease does.
    pub(crate) fn lock_timeout(&self) -> Duration {
        (self.lease / 4).min(Duration::from_secs(5))
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        self.lease / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_and_contradictions_are_named() {
        let good = WorkerSettings::new("host:1", "0.1.0");
        assert_eq!(good.check(), Ok(()));
        let short = WorkerSettings { lease: Duration::from_secs(10), ..good.clone() };
        assert_eq!(
            short.check().unwrap_err().to_string(),
            "the lease is 10s, it should be between twice the poll's wait (10s) plus a second, and 12 hours"
        );
        assert!(WorkerSettings { most_held: 9, ..good.clone() }.check().is_err());
        assert!(WorkerSettings { most_held_bytes: 1024, ..good.clone() }.check().is_err());
        assert!(WorkerSettings { handler_timeout: Duration::ZERO, ..good.clone() }.check().is_err());
        assert!(WorkerSettings { batch: 0, ..good }.check().is_err());
    }
}
