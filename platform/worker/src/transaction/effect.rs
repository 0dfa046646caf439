//! An effect: asked for, performed with no transaction held across it, then put on record.
//!
//! The record in `event_logs` is what a later copy finds. Between the effect and its record lies the one moment in which
//! a crash makes it happen twice, so recording is tried until it succeeds, whatever becomes of the lease meanwhile.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    handler::{HandlerError, Verdict},
    inbox,
    message::settlement::{Settled, Settlement, Settlements, Unit},
    transaction::{
        Broken, Transactions,
        attempt::Attempts,
        broken_by_claim, broken_by_database, broken_by_handler,
        failure::chain,
        line::{Line, Needs},
    },
};

#[derive(Clone)]
pub(crate) struct Performer {
    pub transactions: Transactions,
    pub attempts: Attempts,
    pub settlements: Settlements,
    /// Nothing is begun any more.
    pub soft: CancellationToken,
    /// What runs is dropped.
    pub hard: CancellationToken,
}

const RECORD_AGAIN: Duration = Duration::from_millis(200);

impl Performer {
    /// Performs the effect of one event, or finds out why not, and settles it.
    pub async fn perform(&self, line: &Line, unit: Unit) {
        let mut again = vec![unit];
        while let Some(unit) = again.pop().and_then(Unit::still_held) {
            let mut settled = Vec::new();
            again = self.try_once(line, unit, &mut settled).await;
            self.settlements.carry_out(line.name(), settled).await;
        }
    }

    /// Answers the unit where it is to be tried again.
    async fn try_once(&self, line: &Line, unit: Unit, settled: &mut Settled) -> Vec<Unit> {
        if self.soft.is_cancelled() {
            settled.push((unit, Settlement::Release(Duration::ZERO)));
            return Vec::new();
        }
        let passed = match line.pass().await {
            Ok(passed) => passed,
            Err(delay) => {
                settled.push((unit, Settlement::Release(delay)));
                return Vec::new();
            }
        };
        let called = self.unless_recorded(line, &unit).await;
        line.tell(&called);
        drop(passed);
        match called {
            Ok(None) => settled.push((unit, Settlement::Duplicate)),
            Ok(Some(Verdict::Reject(error))) => {
                return self.attempts.fail(line, vec![unit], &HandlerError::Reject(error), settled).await;
            }
            Ok(Some(Verdict::Retry(error))) => {
                return self.attempts.fail(line, vec![unit], &HandlerError::Retry(error), settled).await;
            }
            Ok(Some(verdict)) => {
                self.record(line, &unit).await;
                let stale = matches!(verdict, Verdict::Stale);
                settled.push((unit, if stale { Settlement::Stale } else { Settlement::Applied }));
            }
            Err(Broken::Cancelled) if self.hard.is_cancelled() => {
                settled.push((unit, Settlement::Release(Duration::ZERO)));
            }
            // The breaker makes it wait, or its lease is lost, which ends the loop.
            Err(Broken::Unavailable(..) | Broken::Cancelled) => return vec![unit],
            Err(Broken::WindowMoved) => return self.attempts.without_expired(line, vec![unit], settled).await,
            Err(Broken::Transient(error)) => {
                line.trip(Needs::Dependency, &error);
                return vec![unit];
            }
            Err(Broken::Isolate(error) | Broken::Retry(error)) => {
                return self.attempts.fail(line, vec![unit], &error, settled).await;
            }
        }
        Vec::new()
    }

    /// `None`: an earlier delivery was performed and recorded.
    async fn unless_recorded(&self, line: &Line, unit: &Unit) -> Result<Option<Verdict>, Broken> {
        let (pool, copies) = (&self.transactions.pool, unit.copies.len() as i32);
        if inbox::recognise(pool, unit.key(), copies).await.map_err(broken_by_database)? {
            return Ok(None);
        }
        let cancel = self.hard.child_token();
        for delivery in &unit.copies {
            delivery.held.lease.guards(&cancel);
        }
        let (started, timeout) = (Instant::now(), self.transactions.timeout(line));
        let event = [unit.event()];
        let call = AssertUnwindSafe(self.transactions.consumer.call(&*line.handler, None, &event)).catch_unwind();
        let called = tokio::select! {
            biased;
            called = call => match called {
                Ok(called) => called.map_err(broken_by_handler),
                Err(_) => Err(Broken::Isolate(HandlerError::unclassified("the handler panicked"))),
            },
            () = cancel.cancelled() => Err(Broken::Cancelled),
            () = tokio::time::sleep(timeout) => Err(Broken::Isolate(HandlerError::TimedOut(timeout))),
        };
        let error = called.as_ref().err().map_or("", Broken::as_str);
        self.transactions.labels.called(line.name(), 1, started.elapsed(), error);
        // One event, one verdict.
        called.map(|mut verdicts| verdicts.pop())
    }

    /// Puts a performed effect on record; gives up only where the worker is made to stop, or where there is no place for
    /// the record. A copy of the event would then be performed again.
    async fn record(&self, line: &Line, unit: &Unit) {
        loop {
            let recorded = inbox::record(&self.transactions.pool, line.name(), unit.event(), unit.copies.len()).await;
            let Err(error) = recorded else { return };
            let event_id = &unit.event().envelope.id;
            match broken_by_claim(error) {
                Broken::Unavailable(_, error) | Broken::Transient(error) if !self.hard.is_cancelled() => {
                    tracing::warn!(event_id, error = chain(&error), "an effect is performed and not yet recorded");
                    line.trip(Needs::Database, &error);
                    // While stopping nobody waits for a breaker any more, so there has to be a pause of our own.
                    if line.database.pass(line.hold).await.is_err() {
                        tokio::time::sleep(RECORD_AGAIN).await;
                    }
                }
                broken => {
                    let reason = broken.as_str();
                    tracing::error!(
                        event_id,
                        reason,
                        "an effect was performed and can't be recorded: a copy would repeat it"
                    );
                    return;
                }
            }
        }
    }
}
