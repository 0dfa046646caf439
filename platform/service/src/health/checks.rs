use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::pulses::{Liveness, Pulses};

/// What a check found. The text is shown to anybody who asks, so it is a fixed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Ok,
    /// Works, with less than usual: still ready.
    Degraded(&'static str),
    /// Can't do its work: not ready.
    Down(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Degraded,
    Down,
}

/// Whether to send work here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// The worst of all checks.
    pub status: Status,
    /// True once the process began to stop; it is then down whatever the checks say.
    pub stopping: bool,
    pub checks: Vec<CheckReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckReport {
    #[schema(example = "postgres")]
    name: &'static str,
    status: Status,
    latency_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

type Ask = dyn Fn() -> BoxFuture<'static, Condition> + Send + Sync;

struct Check {
    name: &'static str,
    ask: Box<Ask>,
    last: AtomicU8,
}

/// The checks and the pulses of a process.
#[derive(Clone)]
pub struct Health {
    checks: Vec<Arc<Check>>,
    pulses: Pulses,
    recent: Arc<Mutex<Option<Round>>>,
    soft: CancellationToken,
}

/// What all checks said, and when.
struct Round {
    at: Instant,
    reports: Vec<CheckReport>,
}

const LIMIT: Duration = Duration::from_millis(1_500);

/// The page is open to everybody, and must not be a way to keep the database busy: whoever asks sooner gets the last
/// answer, and those who ask at the same time share one.
const FRESH_FOR: Duration = Duration::from_millis(500);

impl Health {
    /// Not ready any more once `soft` is cancelled. Watches the runtime that this is called on.
    pub fn new(soft: CancellationToken) -> Self {
        Self { checks: Vec::new(), pulses: Pulses::of_this_runtime(), recent: Arc::default(), soft }
    }

    /// Adds a check; it gets 1.5 s.
    #[must_use]
    pub fn check<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Condition> + Send + 'static,
    {
        let check = Check { name, ask: Box::new(move || Box::pin(ask())), last: AtomicU8::new(Status::Ok as u8) };
        self.checks.push(Arc::new(check));
        self
    }

    /// Watches a loop until stopping begins: it stands still once its last beat is older than `limit` ([`PULSE_LIMIT`]
    /// where nothing speaks for another). `age` is that of the last beat, [`Pulse::age`] or the loop's own; `None` before the
    /// first. What the age must not depend on, the module says.
    ///
    /// [`PULSE_LIMIT`]: super::PULSE_LIMIT
    /// [`Pulse::age`]: super::Pulse::age
    #[must_use]
    pub fn pulse(
        mut self,
        name: &'static str,
        limit: Duration,
        age: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.pulses.watch(name, limit, age);
        self
    }

    pub(super) fn liveness(&self) -> Liveness {
        self.pulses.liveness(self.soft.is_cancelled())
    }

    pub(super) async fn readiness(&self) -> Readiness {
        let checks = self.reports().await;
        let stopping = self.soft.is_cancelled();
        let worst = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        Readiness { status: if stopping { Status::Down } else { worst }, stopping, checks }
    }

    async fn reports(&self) -> Vec<CheckReport> {
        let mut recent = self.recent.lock().await;
        if let Some(round) = recent.as_ref().filter(|round| round.at.elapsed() < FRESH_FOR) {
            return round.reports.clone();
        }
        let reports = join_all(self.checks.iter().map(|check| check.report())).await;
        *recent = Some(Round { at: Instant::now(), reports: reports.clone() });
        reports
    }
}

impl Check {
    async fn report(&self) -> CheckReport {
        let began = Instant::now();
        let condition = timeout(LIMIT, (self.ask)()).await.unwrap_or(Condition::Down("no answer in time"));
        let (status, detail) = match condition {
            Condition::Ok => (Status::Ok, None),
            Condition::Degraded(why) => (Status::Degraded, Some(why)),
            Condition::Down(why) => (Status::Down, Some(why)),
        };
        // Probes come every few seconds; the log gets the changes.
        if self.last.swap(status as u8, Ordering::Relaxed) != status as u8 {
            tracing::warn!(check = self.name, ?status, detail, "a health check changed");
        }
        CheckReport { name: self.name, status, latency_ms: began.elapsed().as_millis() as u64, detail }
    }
}
