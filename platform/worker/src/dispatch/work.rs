//! What is done with what was received: read it, hand it to its handler, settle it.

use std::{collections::HashMap, sync::Arc};

use schemas::Clock;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    inbox::window::Window,
    message::{
        decode::{Delivery, Unreadable, decode},
        lease::Held,
        settlement::{Settlements, Unit},
    },
    registry::{Consumer, Shape},
    trace,
    transaction::{
        Applier,
        effect::Performer,
        failure::{FailedEvent, Failure, FailureClass},
        line::Line,
    },
};

/// The parts that work on messages.
pub(crate) struct Work {
    pub consumer: Consumer,
    pub lines: Vec<Line>,
    pub applier: Applier,
    pub performer: Performer,
    pub settlements: Settlements,
    pub window: Window,
    pub clock: Clock,
}

impl Work {
    /// From a raw message to a delivery, and which line it is for.
    pub fn read(&self, held: Held) -> Result<(usize, Delivery), Box<Unreadable>> {
        let (handler, delivery) = decode(&self.consumer, &self.window, self.clock.now(), held)?;
        let line = self.lines.iter().position(|line| Arc::ptr_eq(&line.handler, &handler));
        Ok((line.expect("each handler has a line"), delivery))
    }

    pub async fn process(&self, line: &Line, batch: Vec<Delivery>) {
        let traceparents = batch.iter().map(|delivery| delivery.envelope.traceparent.as_deref());
        let span = trace::processing(&self.applier.transactions.labels, line.name(), traceparents);
        self.handle(line, units(batch)).instrument(span).await;
    }

    async fn handle(&self, line: &Line, units: Vec<Unit>) {
        match line.handler.shape() {
            Shape::Apply => self.applier.apply(line, units).await,
            Shape::Perform { .. } => {
                for unit in units {
                    self.performer.perform(line, unit).await;
                }
            }
        }
    }

    /// Dead-letters a message that no handler can ever get.
    pub async fn reject(&self, unreadable: Unreadable) {
        let Unreadable { held, envelope, reason, error } = unreadable;
        let recorder = &self.applier.attempts.recorder;
        let failure = Failure::new(FailureClass::Reject, reason.as_str(), self.consumer.name(), &*error);
        let failed = FailedEvent {
            failure: &failure,
            event: envelope.as_ref().map(|(envelope, key)| (envelope, *key)),
            message_id: &held.message.id.0,
            receive_count: held.message.receive_count,
            handler: None,
        };
        // The dead letter itself carries the reason, so a database that is down doesn't hold it up.
        if let Err(error) = recorder.record(std::slice::from_ref(&failed)).await {
            tracing::warn!(%error, "a rejection could not be recorded; its dead letter carries the reason");
        }
        let report = recorder.report(&failed, 1);
        self.settlements.reject(held, report).await;
    }
}

/// Puts the copies of one event together, in the order of their first arrival.
fn units(batch: Vec<Delivery>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::with_capacity(batch.len());
    let mut position: HashMap<Uuid, usize> = HashMap::with_capacity(batch.len());
    for delivery in batch {
        let at = *position.entry(delivery.key.as_uuid()).or_insert(units.len());
        match units.get_mut(at) {
            Some(unit) => unit.copies.push(delivery),
            None => units.push(Unit { copies: vec![delivery] }),
        }
    }
    units
}
