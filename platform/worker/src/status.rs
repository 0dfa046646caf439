//! What a worker says of itself: to health checks, and to the row by which a fleet is seen.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::Gauge;
use tokio::time::Instant;

use crate::{measure, settings::POLL_MESSAGES, transaction::breaker::Circuits};

/// What health checks want to know. Cheap to clone.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    consumer: &'static str,
    started: Instant,
    last_poll: Moment,
    last_full_poll: Moment,
    receiving: Moment,
    dispatching: Moment,
    received: AtomicU64,
    applied: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicU64,
    /// Kept, because looking one up for every message shows in profiles. Not before the first one, so that a recorder which
    /// is installed after the worker was made is found.
    in_flight_gauge: OnceLock<Gauge>,
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

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl Status {
    pub(crate) fn new(consumer: &'static str, circuits: Circuits) -> Self {
        Self(Arc::new(Inner {
            consumer,
            started: Instant::now(),
            last_poll: Moment::default(),
            last_full_poll: Moment::default(),
            receiving: Moment::default(),
            dispatching: Moment::default(),
            received: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            in_flight_gauge: OnceLock::new(),
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
        if messages == POLL_MESSAGES {
            self.0.last_full_poll.is_now(self.0.started);
        }
        self.0.received.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// How long ago a poll came back full; `None` before one did.
    pub(crate) fn since_last_full_poll(&self) -> Option<Duration> {
        self.0.last_full_poll.age(self.0.started)
    }

    pub(crate) fn receiving(&self) {
        self.0.receiving.is_now(self.0.started);
    }

    pub(crate) fn dispatching(&self) {
        self.0.dispatching.is_now(self.0.started);
    }

    pub(crate) fn applied(&self, events: usize) {
        self.0.applied.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn holds(&self, messages: usize) {
        self.0.in_flight.store(messages as u64, Ordering::Relaxed);
        self.0.in_flight_gauge.get_or_init(|| measure::in_flight(self.0.consumer)).set(messages as f64);
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
