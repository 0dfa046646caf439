//! What a worker says of itself: to health checks, and to the row by which a fleet is seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{measure, transaction::breaker::Circuits};

/// What health checks want to know. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Status(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    last_poll: Moment,
    receiving: Moment,
    dispatching: Moment,
    received: AtomicU64,
    applied: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicU64,
    circuits: Circuits,
}

/// Milliseconds after the start, plus one; zero is never.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

/// How much has been done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    pub received: u64,
    pub applied: u64,
    pub failed: u64,
}

impl Status {
    pub(crate) fn new(circuits: Circuits) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            last_poll: Moment::default(),
            receiving: Moment::default(),
            dispatching: Moment::default(),
            received: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            circuits,
        }))
    }

    /// How long ago the queue last answered a poll; `None` before it first did.
    pub fn since_last_poll(&self) -> Option<Duration> {
        self.0.last_poll.age(self.0.started)
    }

    /// Whether polling rests because a dependency is down.
    pub fn is_waiting_for_dependency(&self) -> bool {
        self.0.circuits.is_any_open()
    }

    /// How long ago the slower of the worker's two loops, receiving and dispatching, last came round. Each does at least once
    /// a second, whatever becomes of the queue and the database; `None` before both have begun.
    pub fn since_last_tick(&self) -> Option<Duration> {
        let [receiving, dispatching] = [&self.0.receiving, &self.0.dispatching].map(|loops| loops.age(self.0.started));
        receiving?.max(dispatching?).into()
    }

    /// Messages in hand, waiting ones included.
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn polled(&self, messages: usize) {
        self.0.last_poll.is_now(self.0.started);
        self.0.received.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn receiving(&self) {
        self.0.receiving.is_now(self.0.started);
    }

    pub(crate) fn dispatching(&self) {
        self.0.dispatching.is_now(self.0.started);
    }

    pub(crate) fn applied(&self) {
        self.0.applied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn holds(&self, messages: usize) {
        self.0.in_flight.store(messages as u64, Ordering::Relaxed);
        measure::in_flight(messages);
    }

    pub(crate) fn done(&self) -> Done {
        let [received, applied, failed] =
            [&self.0.received, &self.0.applied, &self.0.failed].map(|count| count.load(Ordering::Relaxed));
        Done { received, applied, failed }
    }
}

impl Moment {
    fn is_now(&self, started: Instant) {
        self.0.store(started.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
    }

    fn age(&self, started: Instant) -> Option<Duration> {
        let at = Duration::from_millis(self.0.load(Ordering::Relaxed).checked_sub(1)?);
        Some(started.elapsed().saturating_sub(at))
    }
}
