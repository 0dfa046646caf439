//! One batch, one transaction: claim, apply, commit.

pub(crate) mod attempt;
mod batch;
pub(crate) mod breaker;
mod classify;
pub(crate) mod effect;
pub(crate) mod failure;
pub(crate) mod line;

use std::{panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use batch::Applier;
pub(crate) use classify::{Broken, broken_by_claim, broken_by_database, broken_by_handler};

use crate::{
    handler::{HandlerError, Verdict},
    inbox,
    measure::Labels,
    message::settlement::Unit,
    registry::Consumer,
    transaction::line::Line,
};

/// What a committed transaction says of one of its events.
#[derive(Debug)]
pub(crate) enum Committed {
    Applied,
    Stale,
    /// Applied by an earlier delivery.
    Duplicate,
    /// The handler refused this one, and its claim was given back.
    Refused(HandlerError),
}

#[derive(Clone)]
pub(crate) struct Transactions {
    pub pool: PgPool,
    pub consumer: Consumer,
    pub labels: Labels,
    pub lock_timeout: Duration,
    pub statement_timeout: Duration,
    pub handler_timeout: Duration,
}

/// After cancelling at the server, the handler's future gets this long to notice.
const CANCEL_GRACE: Duration = Duration::from_secs(3);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl Transactions {
    /// Applies `units` in one transaction; commits all of it or nothing. Cancelled by `cancel` and by the handler's time-out
    /// up to the COMMIT, which is never interrupted: its outcome would be unknown.
    pub async fn run(&self, line: &Line, units: &[Unit], cancel: &CancellationToken) -> Result<Vec<Committed>, Broken> {
        let started = Instant::now();
        let ran = self.claim_apply_commit(line, units, cancel).await;
        let error = ran.as_ref().err().map_or("", Broken::as_str);
        self.labels.called(line.name(), units.len(), started.elapsed(), error);
        ran
    }

    pub fn timeout(&self, line: &Line) -> Duration {
        line.handler.timeout().unwrap_or(self.handler_timeout)
    }

    async fn claim_apply_commit(
        &self,
        line: &Line,
        units: &[Unit],
        cancel: &CancellationToken,
    ) -> Result<Vec<Committed>, Broken> {
        let mut tx = self.pool.begin_with(BEGIN).await.map_err(broken_by_database)?;
        let pid = inbox::prepare(&mut tx, self.lock_timeout, self.statement_timeout).await;
        let pid = pid.map_err(broken_by_database)?;
        let timeout = self.timeout(line);
        let worked = {
            let work = AssertUnwindSafe(self.claim_and_apply(&mut tx, line, units)).catch_unwind();
            tokio::pin!(work);
            tokio::select! {
                biased;
                worked = &mut work => worked,
                () = cancel.cancelled() => {
                    let _ = self.cancel(pid, work).await;
                    return Err(Broken::Cancelled);
                }
                () = tokio::time::sleep(timeout) => {
                    // A server that can't be told is one that does not answer, and no event is to blame.
                    self.cancel(pid, work).await.map_err(broken_by_database)?;
                    return Err(Broken::Isolate(HandlerError::TimedOut(timeout)));
                }
            }
        };
        let committed = match worked {
            Ok(Ok(committed)) => committed,
            // Dropping the transaction queues its ROLLBACK on the connection.
            Ok(Err(broken)) => return Err(broken),
            // What it said went to the log of panics; it may quote data, and this is stored.
            Err(_) => return Err(Broken::Isolate(HandlerError::unclassified("the handler panicked"))),
        };
        // A lost connection here leaves the outcome unknown. The next run's claims tell: what was committed comes back
        // as a duplicate.
        tx.commit().await.map_err(broken_by_database)?;
        Ok(committed)
    }

    /// Ends at the server what `work` is waiting for. Dropping the future alone would leave the server at work, holding its
    /// locks.
    async fn cancel<F: Future>(&self, pid: i32, work: Pin<&mut F>) -> Result<(), sqlx::Error> {
        let cancelled = inbox::cancel_backend(&self.pool, pid).await;
        if let Err(error) = &cancelled {
            tracing::warn!(%error, "could not cancel a transaction at the server");
        }
        let _ = tokio::time::timeout(CANCEL_GRACE, work).await;
        cancelled
    }

    async fn claim_and_apply(
        &self,
        connection: &mut PgConnection,
        line: &Line,
        units: &[Unit],
    ) -> Result<Vec<Committed>, Broken> {
        let events: Vec<_> = units.iter().map(Unit::event).collect();
        let claimed = inbox::claim(connection, line.name(), &events).await.map_err(broken_by_claim)?;
        // Nearly always all of them.
        let all = claimed.len() == units.len();
        let is_new: Vec<_> = units.iter().map(|unit| all || claimed.contains(&unit.key())).collect();

        let fresh: Vec<_> = events.iter().zip(&is_new).filter(|(_, new)| **new).map(|(event, _)| *event).collect();
        let verdicts = if fresh.is_empty() {
            Vec::new()
        } else {
            let called = self.consumer.call(&*line.handler, Some(&mut *connection), &fresh).await;
            called.map_err(broken_by_handler)?
        };

        let mut verdicts = verdicts.into_iter();
        let outcomes: Vec<_> = is_new
            .iter()
            .map(|new| match new.then(|| verdicts.next()).flatten() {
                None => Committed::Duplicate,
                Some(Verdict::Applied) => Committed::Applied,
                Some(Verdict::Stale) => Committed::Stale,
                Some(Verdict::Reject(error)) => Committed::Refused(HandlerError::Reject(error)),
                Some(Verdict::Retry(error)) => Committed::Refused(HandlerError::Retry(error)),
            })
            .collect();
        self.keep_books(connection, units, &outcomes).await.map_err(broken_by_database)?;
        Ok(outcomes)
    }

    /// Gives back the claims of what was refused, and counts the copies of what was not.
    async fn keep_books(
        &self,
        connection: &mut PgConnection,
        units: &[Unit],
        outcomes: &[Committed],
    ) -> Result<(), sqlx::Error> {
        let mut refused = Vec::new();
        let (mut keys, mut redeliveries) = (Vec::new(), Vec::new());
        for (unit, outcome) in units.iter().zip(outcomes) {
            let copies = match outcome {
                Committed::Applied | Committed::Stale => unit.copies.len() - 1,
                Committed::Duplicate => unit.copies.len(),
                Committed::Refused(_) => {
                    refused.push(unit.key());
                    0
                }
            };
            if copies > 0 {
                keys.push(unit.key());
                redeliveries.push(copies as i32);
            }
        }
        inbox::unclaim(connection, &refused).await?;
        inbox::count_redeliveries(connection, &keys, &redeliveries).await?;
        // A handler that swallows a database error leaves a transaction that PostgreSQL will roll back, and answers COMMIT
        // without an error for. Any statement tells.
        inbox::prove_alive(connection).await
    }
}
