//! A failed attempt: put on record, then settled by what the record says.

use std::error::Error;

use messaging::RetryDelay;
use schemas::Clock;

use crate::{
    handler::HandlerError,
    inbox::window::Window,
    measure,
    message::{
        decode::check_time,
        settlement::{Settled, Settlement, Unit},
    },
    transaction::{
        Broken, broken_by_database,
        failure::{FailedEvent, Failure, FailureClass, Recorded, Recorder, chain},
        line::{Line, Needs},
    },
};

#[derive(Clone)]
pub(crate) struct Attempts {
    pub recorder: Recorder,
    pub window: Window,
    pub clock: Clock,
    pub retry: RetryDelay,
}

impl Attempts {
    /// Records a failed attempt of each unit and settles it. Answers the units whose failure could not be recorded: an
    /// attempt that isn't on record didn't happen, so they are tried again.
    pub async fn fail(&self, line: &Line, units: Vec<Unit>, error: &HandlerError, settled: &mut Settled) -> Vec<Unit> {
        let failure = failure_of(line.name(), error);
        let failed: Vec<_> = units.iter().map(|unit| failed_event(line.name(), unit, &failure)).collect();
        let recorded = match self.recorder.record(&failed).await {
            Ok(recorded) => recorded,
            Err(error) => return self.unrecorded(line, units, &failure, error, settled),
        };
        for (unit, recorded) in units.into_iter().zip(recorded) {
            let settlement = if recorded.dead_lettered {
                let report = self.recorder.report(&failed_event(line.name(), &unit, &failure), recorded.attempt);
                Settlement::DeadLetter(Box::new(report))
            } else {
                measure::retried(line.name(), failure.class);
                tracing::warn!(
                    event_id = unit.event().envelope.id,
                    handler = line.name(),
                    attempt = recorded.attempt,
                    error = failure.message,
                    "an event failed; it will be tried again"
                );
                Settlement::Release(self.retry.after(recorded.attempt))
            };
            settled.push((unit, settlement));
        }
        Vec::new()
    }

    /// What to do about a failure that can't be put on record. While the database is away the events are tried again
    /// later, like everything else; a rejection whose record it refuses goes to the dead-letter queue, which carries the
    /// reason too; anything else goes back to the queue, which counts.
    fn unrecorded(
        &self,
        line: &Line,
        units: Vec<Unit>,
        failure: &Failure,
        error: sqlx::Error,
        settled: &mut Settled,
    ) -> Vec<Unit> {
        tracing::warn!(error = chain(&error), "a failure could not be recorded");
        match broken_by_database(error) {
            Broken::Unavailable(_, error) | Broken::Transient(error) => {
                line.trip(Needs::Database, &error);
                return units;
            }
            _ if failure.class == FailureClass::Reject => {
                for unit in units {
                    let recorded = Recorded { attempt: 1, dead_lettered: true };
                    let report = self.recorder.report(&failed_event(line.name(), &unit, failure), recorded.attempt);
                    settled.push((unit, Settlement::DeadLetter(Box::new(report))));
                }
            }
            _ => {
                for unit in units {
                    let delay = self.retry.after(unit.event().held.message.receive_count);
                    settled.push((unit, Settlement::Release(delay)));
                }
            }
        }
        Vec::new()
    }

    /// Rejects what lies before the window, wherever it starts now, and answers the rest.
    pub async fn without_expired(&self, line: &Line, units: Vec<Unit>, settled: &mut Settled) -> Vec<Unit> {
        if let Err(error) = self.window.refresh(&self.recorder.pool).await {
            tracing::warn!(%error, "could not read the weeks of event_logs");
        }
        let now = self.clock.now();
        let mut good = Vec::with_capacity(units.len());
        for unit in units {
            let Err((reason, error)) = check_time(unit.event().key, &self.window, now) else {
                good.push(unit);
                continue;
            };
            let error: Box<dyn Error + Send + Sync> = error.into();
            let failure = Failure::new(FailureClass::Reject, reason.as_str(), line.name(), &*error);
            let failed = failed_event(line.name(), &unit, &failure);
            if let Err(error) = self.recorder.record(std::slice::from_ref(&failed)).await {
                tracing::warn!(%error, "a rejection could not be recorded; its dead letter carries the reason");
            }
            let report = self.recorder.report(&failed, 1);
            settled.push((unit, Settlement::DeadLetter(Box::new(report))));
        }
        good
    }
}

fn failed_event<'a>(handler: &'static str, unit: &'a Unit, failure: &'a Failure) -> FailedEvent<'a> {
    let delivery = unit.event();
    FailedEvent {
        failure,
        event: Some((&delivery.envelope, delivery.key)),
        message_id: &delivery.held.message.id.0,
        receive_count: delivery.held.message.receive_count,
        handler: Some(handler),
    }
}

/// The failure that is recorded: of what the handler said, not of the wrapper it said it in.
fn failure_of(handler: &str, error: &HandlerError) -> Failure {
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
    Failure::new(class, reason, handler, inner)
}
