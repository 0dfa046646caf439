use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use super::checks::Status;

/// How old a pulse may be where nobody says otherwise.
pub const PULSE_LIMIT: Duration = Duration::from_secs(30);

const RUNTIME: &str = "runtime";
const RUNTIME_BEATS_EVERY: Duration = Duration::from_secs(1);

/// When a loop last went round, told by the loop itself. Clones are of one pulse.
#[derive(Debug, Clone)]
pub struct Pulse {
    began: Instant,
    /// Milliseconds after `began`.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// The first beat is now.
    #[expect(clippy::new_without_default, reason = "a default would not look as if it told the time")]
    pub fn new() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }

    /// Costs one store.
    pub fn beat(&self) {
        store(self.began, &self.last);
    }

    /// Since the last beat.
    pub fn age(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Beats as long as the runtime gets to its tasks and its timers, and somebody holds the pulse.
    fn of_this_runtime() -> Self {
        let pulse = Self::new();
        let (began, last) = (pulse.began, Arc::downgrade(&pulse.last));
        tokio::spawn(async move {
            while let Some(last) = Weak::upgrade(&last) {
                store(began, &last);
                drop(last);
                sleep(RUNTIME_BEATS_EVERY).await;
            }
        });
        pulse
    }
}

fn store(began: Instant, last: &AtomicU64) {
    last.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
}

/// Whether the process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Liveness {
    /// `ok`, or `down` where anything stands still.
    pub status: Status,
    pub pulses: Vec<PulseReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PulseReport {
    #[schema(example = "runtime")]
    name: &'static str,
    status: Status,
    /// Since the last beat.
    age_ms: u64,
    /// At which age it stands still.
    limit_ms: u64,
}

type Age = dyn Fn() -> Option<Duration> + Send + Sync;

struct Watched {
    name: &'static str,
    limit: Duration,
    age: Box<Age>,
    since: Instant,
    stood_still: AtomicBool,
}

/// What has to go on moving in a process.
#[derive(Clone)]
pub(super) struct Pulses {
    runtime: Arc<Watched>,
    loops: Vec<Arc<Watched>>,
}

impl Pulses {
    pub fn of_this_runtime() -> Self {
        let pulse = Pulse::of_this_runtime();
        Self { runtime: Arc::new(Watched::new(RUNTIME, PULSE_LIMIT, move || Some(pulse.age()))), loops: Vec::new() }
    }

    pub fn watch(
        &mut self,
        name: &'static str,
        limit: Duration,
        age: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) {
        self.loops.push(Arc::new(Watched::new(name, limit, age)));
    }

    /// Loops that end because the process does are no sign of anything.
    pub fn liveness(&self, is_stopping: bool) -> Liveness {
        let loops = self.loops.iter().filter(|_| !is_stopping);
        let pulses: Vec<_> = [&self.runtime].into_iter().chain(loops).map(|watched| watched.report()).collect();
        let worst = pulses.iter().map(|pulse| pulse.status).max().unwrap_or(Status::Ok);
        Liveness { status: worst, pulses }
    }
}

impl Watched {
    fn new(name: &'static str, limit: Duration, age: impl Fn() -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self { name, limit, age: Box::new(age), since: Instant::now(), stood_still: AtomicBool::new(false) }
    }

    fn report(&self) -> PulseReport {
        // What never beat is as old as the watch over it.
        let age = (self.age)().unwrap_or_else(|| self.since.elapsed());
        let stands_still = age > self.limit;
        // Probes come every few seconds; the log gets the changes.
        if self.stood_still.swap(stands_still, Ordering::Relaxed) != stands_still {
            let (age_ms, limit_ms) = (age.as_millis() as u64, self.limit.as_millis() as u64);
            tracing::warn!(pulse = self.name, stands_still, age_ms, limit_ms, "a pulse changed");
        }
        PulseReport {
            name: self.name,
            status: if stands_still { Status::Down } else { Status::Ok },
            age_ms: age.as_millis() as u64,
            limit_ms: self.limit.as_millis() as u64,
        }
    }
}
