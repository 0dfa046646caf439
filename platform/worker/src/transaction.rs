//! One batch, one transaction: claim, apply, commit.

mod batch;
mod classify;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use metrics::{counter, histogram};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use batch::{Applier, Settlement};
use classify::{Broken, broken_by_database, broken_by_handler};

use crate::{
    decode::Delivery,
    handler::{HandlerError, Verdict},
    inbox,
    registry::AnyHandler,
};

/// One event of a batch, with every copy of it that is in hand. They settle together.
pub(crate) struct Unit {
    pub copies: Vec<Delivery>,
}

impl Unit {
    fn event(&self) -> &Delivery {
        &self.copies[0]
    }

    fn key(&self) -> Uuid {
        self.event().key.as_uuid()
    }
}

/// What a committed transaction says of one of its events.
#[derive(Debug)]
pub(crate) enum Committed {
    /// Applied, or nothing to apply: to be acknowledged.
    Done,
    /// Applied by an earlier delivery.
    Duplicate,
    /// The handler refused this one, and its claim was given back.
    Refused(HandlerError),
}

#[derive(Clone)]
pub(crate) struct Transactions {
    pub pool: PgPool,
    pub lock_timeout: Duration,
    pub statement_timeout: Duration,
    pub handler_timeout: Duration,
}

/// After cancelling at the server, the handler's future gets this long to notice.
const CANCEL_GRACE: Duration = Duration::from_secs(3);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl Transactions {
    /// Applies `units` in one transaction; commits all of it or nothing. Cancelled by `cancel` up to the COMMIT, which
    /// is never interrupted: its outcome would be unknown.
    pub async fn run(
        &self,
        handler: &Arc<dyn AnyHandler>,
        units: &[Unit],
        cancel: &CancellationToken,
    ) -> Result<Vec<Committed>, Broken> {
        let started = Instant::now();
        let mut tx = self.pool.begin_with(BEGIN).await.map_err(broken_by_database)?;
        let pid = inbox::prepare(&mut tx, self.lock_timeout, self.statement_timeout).await;
        let pid = pid.map_err(broken_by_database)?;
        let worked = {
            let work = AssertUnwindSafe(claim_and_apply(&mut tx, handler, units)).catch_unwind();
            tokio::pin!(work);
            tokio::select! {
                biased;
                worked = &mut work => worked,
                () = cancel.cancelled() => {
                    self.cancel(pid, &mut work).await;
                    return Err(Broken::Cancelled);
                }
                () = tokio::time::sleep(self.handler_timeout) => {
                    self.cancel(pid, &mut work).await;
                    return Err(Broken::Isolate(HandlerError::TimedOut(self.handler_timeout)));
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
        histogram!("worker_transaction_seconds", "handler" => handler.name()).record(started.elapsed().as_secs_f64());
        histogram!("worker_transaction_events", "handler" => handler.name()).record(units.len() as f64);
        Ok(committed)
    }
}

impl Transactions {
    /// Dropping the future alone would leave the server at work, holding its locks.
    async fn cancel<T>(&self, pid: i32, work: &mut (impl Future<Output = T> + Unpin)) {
        if let Err(error) = inbox::cancel_backend(&self.pool, pid).await {
            tracing::warn!(%error, "could not cancel a transaction at the server");
        }
        let _ = tokio::time::timeout(CANCEL_GRACE, work).await;
    }
}

async fn claim_and_apply(
    connection: &mut PgConnection,
    handler: &Arc<dyn AnyHandler>,
    units: &[Unit],
) -> Result<Vec<Committed>, Broken> {
    let events: Vec<_> = units.iter().map(Unit::event).collect();
    let claimed = inbox::claim(connection, handler.name(), &events).await.map_err(classify::broken_by_claim)?;
    let is_new: Vec<_> = units.iter().map(|unit| claimed.contains(&unit.key())).collect();

    let fresh: Vec<_> = events.iter().zip(&is_new).filter(|(_, new)| **new).map(|(event, _)| *event).collect();
    let verdicts = match fresh.is_empty() {
        true => Vec::new(),
        false => handler.apply(connection, &fresh).await.map_err(broken_by_handler)?,
    };

    let mut refused = Vec::new();
    let mut verdicts = verdicts.into_iter();
    let mut outcomes = Vec::with_capacity(units.len());
    for (unit, new) in units.iter().zip(&is_new) {
        let outcome = match new.then(|| verdicts.next()).flatten() {
            None => Committed::Duplicate,
            Some(Verdict::Applied) => Committed::Done,
            Some(Verdict::Stale) => {
                counter!("worker_stale_total", "handler" => handler.name()).increment(1);
                Committed::Done
            }
            Some(Verdict::Reject(error)) => Committed::Refused(HandlerError::Reject(error)),
            Some(Verdict::Retry(error)) => Committed::Refused(HandlerError::Retry(error)),
        };
        if matches!(outcome, Committed::Refused(_)) {
            refused.push(unit.key());
        }
        outcomes.push(outcome);
    }
    inbox::unclaim(connection, &refused).await.map_err(broken_by_database)?;

    let (keys, copies): (Vec<_>, Vec<_>) = units
        .iter()
        .zip(&outcomes)
        .filter_map(|(unit, outcome)| {
            let copies = match outcome {
                Committed::Done => unit.copies.len() - 1,
                Committed::Duplicate => unit.copies.len(),
                Committed::Refused(_) => 0,
            };
            (copies > 0).then(|| (unit.key(), copies as i32))
        })
        .unzip();
    inbox::count_redeliveries(connection, &keys, &copies).await.map_err(broken_by_database)?;
    // A handler that swallows a database error leaves a transaction that PostgreSQL will roll back, and answers COMMIT
    // without an error for. Any statement tells.
    inbox::prove_alive(connection).await.map_err(broken_by_database)?;
    Ok(outcomes)
}
