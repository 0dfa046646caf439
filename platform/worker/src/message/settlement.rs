//! What becomes of an event's messages, and doing it: acknowledged, handed back, or dead-lettered.

use std::time::Duration;

use messaging::MessageId;
use schemas::Clock;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    measure::{self, Became},
    message::{
        dead_letter::{DeadLetters, FailureReport},
        decode::Delivery,
        lease::Held,
        settle::Settler,
    },
    status::Status,
};

/// One event, with every copy of it that came in the same batch. They settle together.
pub(crate) struct Unit {
    pub copies: Vec<Delivery>,
}

impl Unit {
    pub fn event(&self) -> &Delivery {
        &self.copies[0]
    }

    pub fn key(&self) -> Uuid {
        self.event().key.as_uuid()
    }

    /// Without the copies whose leases are lost, and with them the right to settle; `None` where that is all.
    pub fn still_held(mut self) -> Option<Self> {
        self.copies.retain(|delivery| !delivery.held.lease.is_lost());
        (!self.copies.is_empty()).then_some(self)
    }
}

/// What is to be done with the messages of a unit.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// Applied now.
    Applied,
    /// There was nothing to apply any more.
    Stale,
    /// Applied by an earlier delivery.
    Duplicate,
    Release(Duration),
    DeadLetter(Box<FailureReport>),
}

pub(crate) type Settled = Vec<(Unit, Settlement)>;

#[derive(Clone)]
pub(crate) struct Settlements {
    pub settler: Settler,
    pub dead_letters: DeadLetters,
    pub clock: Clock,
    pub status: Status,
    /// Who is told what became of each message, beside the queue.
    pub observer: Option<mpsc::UnboundedSender<Observed>>,
}

/// What became of one message.
#[derive(Debug)]
#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only the harness for tests reads it"))]
pub(crate) struct Observed {
    pub message: MessageId,
    pub outcome: Outcome,
}

/// What became of one delivery of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Applied,
    /// Something newer was applied before, or there was nothing to do any more.
    Stale,
    /// An earlier delivery was applied.
    Duplicate,
    /// To be delivered again after this delay.
    Retry(Duration),
    /// With what the dead letter says of it.
    DeadLettered(Box<FailureReport>),
}

/// When the dead-letter queue can't be reached, the message goes back for this long.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(30);

impl Settlements {
    /// Returns when everything is on its way; acknowledgements are answered later.
    pub async fn carry_out(&self, handler: &'static str, settled: Settled) {
        let (mut done, mut released) = (Vec::new(), Vec::new());
        self.measure(handler, &settled);
        for (unit, settlement) in settled {
            self.observe(&unit, &settlement);
            match settlement {
                Settlement::Applied | Settlement::Stale | Settlement::Duplicate => {
                    done.extend(unit.copies.into_iter().map(|delivery| delivery.held));
                }
                Settlement::Release(delay) => {
                    released.extend(unit.copies.into_iter().map(|delivery| (delivery.held, delay)));
                }
                Settlement::DeadLetter(report) => self.dead_letter_all(unit, &report, &mut released).await,
            }
        }
        if !done.is_empty() {
            self.settler.delete(done);
        }
        self.settler.release(released).await;
    }

    fn observe(&self, unit: &Unit, settlement: &Settlement) {
        let Some(observer) = &self.observer else { return };
        for (at, copy) in unit.copies.iter().enumerate() {
            let outcome = match settlement {
                Settlement::Applied | Settlement::Stale if at > 0 => Outcome::Duplicate,
                Settlement::Applied => Outcome::Applied,
                Settlement::Stale => Outcome::Stale,
                Settlement::Duplicate => Outcome::Duplicate,
                Settlement::Release(delay) => Outcome::Retry(*delay),
                Settlement::DeadLetter(report) => Outcome::DeadLettered(report.clone()),
            };
            // Whoever observes may have seen enough.
            let _ = observer.send(Observed { message: copy.held.message.id.clone(), outcome });
        }
    }

    /// All of a batch at once: every metric has to be looked up.
    fn measure(&self, handler: &'static str, settled: &Settled) {
        let now = self.clock.now();
        let (mut applied, mut stale, mut duplicates) = (0, 0, 0);
        for (unit, settlement) in settled {
            match settlement {
                Settlement::Applied => applied += 1,
                Settlement::Stale => stale += 1,
                Settlement::Duplicate => duplicates += 1,
                Settlement::Release(_) | Settlement::DeadLetter(_) => continue,
            }
            duplicates += unit.copies.len() - 1;
        }
        measure::events(handler, Became::Applied, applied);
        measure::events(handler, Became::Stale, stale);
        measure::events(handler, Became::Duplicate, duplicates);
        let new = settled.iter().filter(|(_, made)| matches!(made, Settlement::Applied | Settlement::Stale));
        measure::lags(handler, new.map(|(unit, _)| now - unit.event().event_time()));
        self.status.applied(applied + stale);
    }

    /// One dead letter for all copies in hand.
    async fn dead_letter_all(&self, unit: Unit, report: &FailureReport, released: &mut Vec<(Held, Duration)>) {
        let mut held = unit.copies.into_iter().map(|delivery| delivery.held);
        let Some(first) = held.next() else { return };
        let sent = self.dead_letter(first, report).await;
        for copy in held {
            if sent {
                self.settler.delete([copy]);
            } else {
                released.push((copy, DEAD_LETTER_RETRY));
            }
        }
    }

    /// Dead-letters a message that no handler can get.
    pub async fn reject(&self, held: Held, report: FailureReport) {
        if let Some(observer) = &self.observer {
            let message = held.message.id.clone();
            let _ = observer.send(Observed { message, outcome: Outcome::DeadLettered(Box::new(report.clone())) });
        }
        self.dead_letter(held, &report).await;
    }

    /// Whether the dead-letter queue took it; where it didn't, the message goes back to its queue.
    async fn dead_letter(&self, held: Held, report: &FailureReport) -> bool {
        self.status.failed();
        match self.dead_letters.send(&held, report).await {
            Ok(()) => {
                self.settler.delete([held]);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the dead-letter queue did not take a message; it goes back to its queue");
                self.settler.release(vec![(held, DEAD_LETTER_RETRY)]).await;
                false
            }
        }
    }
}
