//! A batch, from its first try to a settlement for every event: bisecting, retrying, holding.
//!
//! Only an event that was alone in its transaction, or that its handler named, can be blamed: attempts are counted for
//! those and for nobody else.

use std::{error::Error, sync::Arc, time::Duration};

use schemas::Clock;
use tokio_util::sync::CancellationToken;

use super::{Broken, Committed, Transactions, Unit, broken_by_database};
use crate::{
    dead_letter::FailureReport,
    decode::check_time,
    failure::{FailedEvent, Failure, FailureClass, Recorded, Recorder, chain},
    handler::HandlerError,
    outage::{Outage, Outages, database_answers},
    registry::AnyHandler,
    settings::WorkerSettings,
    window::Window,
};

/// What is to be done with the messages of a unit.
#[derive(Debug)]
pub(crate) enum Settlement {
    Acknowledge {
        duplicate: bool,
    },
    Release(Duration),
    DeadLetter(Box<FailureReport>),
    /// The leases are gone, and with them the right to settle.
    Nothing,
}

#[derive(Clone)]
pub(crate) struct Applier {
    pub transactions: Transactions,
    pub recorder: Recorder,
    pub outages: Outages,
    pub window: Window,
    pub clock: Clock,
    pub settings: Arc<WorkerSettings>,
    /// No more waiting for what is down.
    pub soft: CancellationToken,
    /// Cancels running transactions.
    pub hard: CancellationToken,
}

/// Deadlocks and the like are tried again this often at once; then the batch is held, as while a dependency is down.
const TRANSIENT_TRIES: u32 = 5;
const TRANSIENT_PAUSE: Duration = Duration::from_millis(20);

impl Applier {
    /// Applies every unit or finds out why not. Never fails: what could not be done is a settlement too.
    pub async fn apply(&self, handler: &Arc<dyn AnyHandler>, units: Vec<Unit>) -> Vec<(Unit, Settlement)> {
        let mut settled = Vec::with_capacity(units.len());
        let mut parts = vec![units];
        let mut transient = 0;
        let mut outage: Option<Outage> = None;
        while let Some(part) = parts.pop() {
            let mut part = drop_lost(part, &mut settled);
            if part.is_empty() {
                continue;
            }
            if self.hard.is_cancelled() {
                release(part, Duration::ZERO, &mut settled);
                continue;
            }
            let cancel = self.hard.child_token();
            for delivery in part.iter().flat_map(|unit| &unit.copies) {
                delivery.held.lease.guards(&cancel);
            }
            let again = match self.transactions.run(handler, &part, &cancel).await {
                Ok(committed) => {
                    (transient, outage) = (0, None);
                    self.settle_committed(handler, part, committed, &mut settled).await
                }
                Err(Broken::Cancelled) => part,
                Err(Broken::WindowMoved) => {
                    let before = part.len();
                    let good = self.without_expired(handler, part, &mut settled).await;
                    if good.len() == before {
                        // A week is missing that should be there. Until it is, no event of it can be applied.
                        if let Err(error) = self.window.maintain(&self.transactions.pool, self.clock.now()).await {
                            tracing::warn!(error = chain(&error), "a week of event_logs is missing and can't be made");
                        }
                        let missing = HandlerError::unavailable("a week of event_logs is missing");
                        if let Err(delay) = self.wait_out(&mut outage, &missing).await {
                            release(good, delay, &mut settled);
                            continue;
                        }
                    }
                    good
                }
                Err(Broken::Transient(error)) => {
                    transient += 1;
                    tracing::debug!(error = chain(&error), transient, "trying the batch again");
                    if transient > TRANSIENT_TRIES {
                        // Somebody's lock that stays: handing the batch back would spend receives on it.
                        transient = 0;
                        if let Err(delay) = self.wait_out(&mut outage, &error).await {
                            release(part, delay, &mut settled);
                            continue;
                        }
                    } else {
                        tokio::time::sleep(TRANSIENT_PAUSE * transient).await;
                    }
                    part
                }
                Err(Broken::Unavailable(error)) => match self.wait_out(&mut outage, &error).await {
                    Ok(()) => part,
                    Err(delay) => {
                        release(part, delay, &mut settled);
                        continue;
                    }
                },
                Err(Broken::Isolate(error) | Broken::Retry(error)) if part.len() > 1 => {
                    tracing::debug!(error = chain(&error), events = part.len(), "bisecting a batch");
                    let half = part.split_off(part.len() / 2);
                    parts.push(half);
                    part
                }
                Err(Broken::Isolate(error) | Broken::Retry(error)) => {
                    self.fail(handler, part, &error, &mut settled).await
                }
            };
            if !again.is_empty() {
                // An event that waits for a failure to be recorded waits for the database like everything else.
                parts.push(again);
            }
        }
        settled
    }

    async fn settle_committed(
        &self,
        handler: &Arc<dyn AnyHandler>,
        part: Vec<Unit>,
        committed: Vec<Committed>,
        settled: &mut Vec<(Unit, Settlement)>,
    ) -> Vec<Unit> {
        let mut again = Vec::new();
        for (unit, outcome) in part.into_iter().zip(committed) {
            match outcome {
                Committed::Done => settled.push((unit, Settlement::Acknowledge { duplicate: false })),
                Committed::Duplicate => settled.push((unit, Settlement::Acknowledge { duplicate: true })),
                Committed::Refused(error) => again.extend(self.fail(handler, vec![unit], &error, settled).await),
            }
        }
        again
    }

    /// Records a failed attempt of each unit and settles it. Answers the units whose failure could not be recorded: an
    /// attempt that isn't on record didn't happen, so they are tried again.
    async fn fail(
        &self,
        handler: &Arc<dyn AnyHandler>,
        units: Vec<Unit>,
        error: &HandlerError,
        settled: &mut Vec<(Unit, Settlement)>,
    ) -> Vec<Unit> {
        let failure = failure_of(handler, error);
        let failed: Vec<_> = units.iter().map(|unit| failed_event(handler, unit, &failure)).collect();
        let recorded = match self.recorder.record(&failed).await {
            Ok(recorded) => recorded,
            Err(error) => return self.unrecorded(handler, units, &failure, error, settled).await,
        };
        for (unit, recorded) in units.into_iter().zip(recorded) {
            let settlement = if recorded.dead_lettered {
                Settlement::DeadLetter(Box::new(self.report(handler, &unit, &failure, recorded)))
            } else {
                tracing::warn!(
                    event_id = unit.event().envelope.id,
                    handler = handler.name(),
                    attempt = recorded.attempt,
                    error = failure.message,
                    "an event failed; it will be tried again"
                );
                Settlement::Release(self.settings.retry.after(recorded.attempt))
            };
            settled.push((unit, settlement));
        }
        Vec::new()
    }

    /// What to do about a failure that can't be put on record. While the database is away the events are tried again
    /// later, like everything else; a rejection whose record it refuses goes to the dead-letter queue, which carries the
    /// reason too; anything else goes back to the queue, which counts.
    async fn unrecorded(
        &self,
        handler: &Arc<dyn AnyHandler>,
        units: Vec<Unit>,
        failure: &Failure,
        error: sqlx::Error,
        settled: &mut Vec<(Unit, Settlement)>,
    ) -> Vec<Unit> {
        tracing::warn!(error = chain(&error), "a failure could not be recorded");
        match broken_by_database(error) {
            Broken::Unavailable(error) | Broken::Transient(error) => match self.wait_out(&mut None, &error).await {
                Ok(()) => return units,
                Err(delay) => release(units, delay, settled),
            },
            _ if failure.class == FailureClass::Reject => {
                for unit in units {
                    let recorded = Recorded { attempt: 1, dead_lettered: true };
                    let report = self.report(handler, &unit, failure, recorded);
                    settled.push((unit, Settlement::DeadLetter(Box::new(report))));
                }
            }
            _ => {
                for unit in units {
                    let delay = self.settings.retry.after(unit.event().held.message.receive_count);
                    settled.push((unit, Settlement::Release(delay)));
                }
            }
        }
        Vec::new()
    }

    fn report(
        &self,
        handler: &Arc<dyn AnyHandler>,
        unit: &Unit,
        failure: &Failure,
        recorded: Recorded,
    ) -> FailureReport {
        self.recorder.report(&failed_event(handler, unit, failure), recorded.attempt)
    }

    /// Rejects what lies before the window, wherever it starts now.
    async fn without_expired(
        &self,
        handler: &Arc<dyn AnyHandler>,
        part: Vec<Unit>,
        settled: &mut Vec<(Unit, Settlement)>,
    ) -> Vec<Unit> {
        if let Err(error) = self.window.refresh(&self.transactions.pool).await {
            tracing::warn!(%error, "could not read the weeks of event_logs");
        }
        let now = self.clock.now();
        let (good, expired): (Vec<_>, Vec<_>) =
            part.into_iter().partition(|unit| check_time(unit.event().key, &self.window, now).is_ok());
        for unit in expired {
            let Err((reason, error)) = check_time(unit.event().key, &self.window, now) else { continue };
            let failure = Failure::new(FailureClass::Reject, reason.as_str(), handler.name(), &*boxed(error));
            let failed = failed_event(handler, &unit, &failure);
            if let Err(error) = self.recorder.record(std::slice::from_ref(&failed)).await {
                tracing::warn!(%error, "a rejection could not be recorded; its dead letter carries the reason");
            }
            let report = self.recorder.report(&failed, 1);
            settled.push((unit, Settlement::DeadLetter(Box::new(report))));
        }
        good
    }

    /// Waits until the database answers again. `Err` says how long to hand messages back for, when waiting is over.
    async fn wait_out(&self, outage: &mut Option<Outage>, error: &HandlerError) -> Result<(), Duration> {
        let outage = outage.get_or_insert_with(|| self.outages.begin());
        loop {
            outage.probes += 1;
            tracing::warn!(
                error = chain(error),
                held_for = ?outage.since.elapsed(),
                "a dependency is down: polling stops, messages in hand are held"
            );
            tokio::select! {
                () = self.soft.cancelled() => return Err(Duration::ZERO),
                () = tokio::time::sleep(self.settings.probe.after(outage.probes)) => {}
            }
            if outage.since.elapsed() > self.settings.hold {
                return Err(self.settings.retry.after(outage.probes));
            }
            if database_answers(&self.transactions.pool).await {
                return Ok(());
            }
        }
    }
}

fn drop_lost(units: Vec<Unit>, settled: &mut Vec<(Unit, Settlement)>) -> Vec<Unit> {
    let mut held = Vec::with_capacity(units.len());
    for mut unit in units {
        let (lost, copies): (Vec<_>, Vec<_>) =
            unit.copies.into_iter().partition(|delivery| delivery.held.lease.is_lost());
        if !lost.is_empty() {
            settled.push((Unit { copies: lost }, Settlement::Nothing));
        }
        unit.copies = copies;
        if !unit.copies.is_empty() {
            held.push(unit);
        }
    }
    held
}

fn release(units: Vec<Unit>, delay: Duration, settled: &mut Vec<(Unit, Settlement)>) {
    settled.extend(units.into_iter().map(|unit| (unit, Settlement::Release(delay))));
}

fn failed_event<'a>(handler: &Arc<dyn AnyHandler>, unit: &'a Unit, failure: &'a Failure) -> FailedEvent<'a> {
    let delivery = unit.event();
    FailedEvent {
        failure,
        event: Some((&delivery.envelope, delivery.key)),
        message_id: &delivery.held.message.id.0,
        receive_count: delivery.held.message.receive_count,
        handler: Some(handler.name()),
    }
}

/// The failure that is recorded: of what the handler said, not of the wrapper it said it in.
fn failure_of(handler: &Arc<dyn AnyHandler>, error: &HandlerError) -> Failure {
    let (class, reason) = match error {
        HandlerError::Reject(_) => (FailureClass::Reject, "rejected"),
        HandlerError::Retry(_) | HandlerError::Unavailable(_) => (FailureClass::Retry, "retries-exhausted"),
        HandlerError::TimedOut(_) => (FailureClass::Unclassified, "timed-out"),
        HandlerError::Database(_) | HandlerError::Unclassified(_) => (FailureClass::Unclassified, "failed"),
    };
    let inner: &(dyn Error + 'static) = match error {
        HandlerError::Database(error) => error,
        HandlerError::TimedOut(_) => error,
        HandlerError::Reject(source)
        | HandlerError::Retry(source)
        | HandlerError::Unavailable(source)
        | HandlerError::Unclassified(source) => &**source,
    };
    Failure::new(class, reason, handler.name(), inner)
}

fn boxed(text: String) -> Box<dyn Error + Send + Sync> {
    text.into()
}
