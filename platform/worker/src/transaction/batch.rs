//! A batch, from its first try to a settlement for every event: bisecting, retrying, holding.
//!
//! Only an event that was alone in its transaction, or that its handler named, can be blamed: attempts are counted for
//! those and for nobody else. What is decided is settled at once, and doesn't wait for the rest of the batch.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Broken, Committed, Transactions};
use crate::{
    handler::HandlerError,
    message::settlement::{Settled, Settlement, Settlements, Unit},
    transaction::{
        attempt::Attempts,
        failure::chain,
        line::{Line, Needs},
    },
};

#[derive(Clone)]
pub(crate) struct Applier {
    pub transactions: Transactions,
    pub attempts: Attempts,
    pub settlements: Settlements,
    /// Cancels running transactions.
    pub hard: CancellationToken,
}

/// Deadlocks and the like are tried again this often at once; then the batch is held, as while a dependency is down.
const TRANSIENT_TRIES: u32 = 5;
const TRANSIENT_PAUSE: Duration = Duration::from_millis(20);

impl Applier {
    /// Applies every unit or finds out why not, and settles it. Never fails: what could not be done is a settlement too.
    pub async fn apply(&self, line: &Line, units: Vec<Unit>) {
        let mut parts = vec![units];
        let mut transient = 0;
        while let Some(part) = parts.pop() {
            let part: Vec<_> = part.into_iter().filter_map(Unit::still_held).collect();
            if part.is_empty() {
                continue;
            }
            let mut settled = Vec::new();
            let again = match self.try_once(line, part, &mut transient, &mut settled).await {
                Tried::Again(part) => vec![part],
                // The first half first.
                Tried::Halved(first, second) => vec![second, first],
            };
            self.settlements.carry_out(line.name(), settled).await;
            parts.extend(again.into_iter().filter(|part| !part.is_empty()));
        }
    }

    async fn try_once(&self, line: &Line, mut part: Vec<Unit>, transient: &mut u32, settled: &mut Settled) -> Tried {
        if self.hard.is_cancelled() {
            return release(part, Duration::ZERO, settled);
        }
        let passed = match line.pass().await {
            Ok(passed) => passed,
            Err(delay) => return release(part, delay, settled),
        };
        let cancel = self.hard.child_token();
        for delivery in part.iter().flat_map(|unit| &unit.copies) {
            delivery.held.lease.guards(&cancel);
        }
        let ran = self.transactions.run(line, &part, &cancel).await;
        line.tell(&ran);
        drop(passed);
        match ran {
            Ok(committed) => {
                *transient = 0;
                Tried::Again(self.settle_committed(line, part, committed, settled).await)
            }
            Err(Broken::Cancelled | Broken::Unavailable(..)) => Tried::Again(part),
            Err(Broken::WindowMoved) => Tried::Again(self.find_the_week(line, part, settled).await),
            Err(Broken::Transient(error)) => {
                *transient += 1;
                tracing::debug!(error = chain(&error), transient, "trying the batch again");
                if *transient > TRANSIENT_TRIES {
                    // Somebody's lock that stays: handing the batch back would spend receives on it.
                    *transient = 0;
                    line.trip(Needs::Dependency, &error);
                } else {
                    tokio::time::sleep(TRANSIENT_PAUSE * *transient).await;
                }
                Tried::Again(part)
            }
            Err(Broken::Isolate(error) | Broken::Retry(error)) if part.len() > 1 => {
                tracing::debug!(error = chain(&error), events = part.len(), "bisecting a batch");
                let half = part.split_off(part.len() / 2);
                Tried::Halved(part, half)
            }
            Err(Broken::Isolate(error) | Broken::Retry(error)) => {
                Tried::Again(self.attempts.fail(line, part, &error, settled).await)
            }
        }
    }

    async fn settle_committed(
        &self,
        line: &Line,
        part: Vec<Unit>,
        committed: Vec<Committed>,
        settled: &mut Settled,
    ) -> Vec<Unit> {
        let mut again = Vec::new();
        for (unit, outcome) in part.into_iter().zip(committed) {
            match outcome {
                Committed::Applied => settled.push((unit, Settlement::Applied)),
                Committed::Stale => settled.push((unit, Settlement::Stale)),
                Committed::Duplicate => settled.push((unit, Settlement::Duplicate)),
                Committed::Refused(error) => again.extend(self.attempts.fail(line, vec![unit], &error, settled).await),
            }
        }
        again
    }

    /// A claim found no week for its key. Where the week lies behind, its events are rejected; where it should be there,
    /// it is made, and until then no event of it can be applied.
    async fn find_the_week(&self, line: &Line, part: Vec<Unit>, settled: &mut Settled) -> Vec<Unit> {
        let before = part.len();
        let good = self.attempts.without_expired(line, part, settled).await;
        if good.len() == before {
            let maintained = self.attempts.window.maintain(&self.transactions.pool, self.attempts.clock.now()).await;
            if let Err(error) = maintained {
                tracing::warn!(error = chain(&error), "a week of event_logs is missing and can't be made");
            }
            line.trip(Needs::Dependency, &HandlerError::unavailable("a week of event_logs is missing"));
        }
        good
    }
}

enum Tried {
    /// These are to be tried again, now that something is known or back; perhaps none.
    Again(Vec<Unit>),
    /// One of them may be at fault: each half on its own.
    Halved(Vec<Unit>, Vec<Unit>),
}

fn release(units: Vec<Unit>, delay: Duration, settled: &mut Settled) -> Tried {
    settled.extend(units.into_iter().map(|unit| (unit, Settlement::Release(delay))));
    Tried::Again(Vec::new())
}
