//! From single messages to batches: one lane per handler, and one for suspects.
//!
//! A lane takes whatever has come together while transactions were running, so batches grow with the load and nothing
//! waits for a batch to fill.
//!
//! A suspect is a message that was received three times or more since its last failure on record, if there is one: its
//! workers may have died of it. Suspects run alone in the process, with earlier work acknowledged, and in random order, so that of many that
//! share a queue with one killer about half get through before each crash. The killer itself runs into the queue's
//! receive limit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use metrics::{counter, histogram};
use schemas::Clock;
use tokio::sync::{RwLock, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    dead_letter::{DeadLetters, FailureReport},
    decode::{Delivery, Unreadable, decode},
    failure::{FailedEvent, Failure, FailureClass},
    inbox,
    lease::Held,
    registry::{AnyHandler, Consumer},
    settle::Settler,
    transaction::{Applier, Settlement, Unit},
    window::Window,
};

const SUSPECT_FROM: u32 = 3;
/// When the dead-letter queue can't be reached, the message goes back for this long.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(30);

/// What every lane works with.
pub(crate) struct Work {
    pub consumer: Consumer,
    pub applier: Applier,
    pub settler: Settler,
    pub dead_letters: DeadLetters,
    pub window: Window,
    pub clock: Clock,
    pub batch: usize,
    pub running: Arc<Semaphore>,
    /// Read by ordinary batches, written by a suspect: that is how it runs alone.
    pub solitude: RwLock<()>,
}

type Suspect = (Arc<dyn AnyHandler>, Delivery);

/// The ends of the lanes that received messages are put in at.
pub(crate) struct Lanes {
    work: Arc<Work>,
    handlers: BTreeMap<&'static str, mpsc::UnboundedSender<Delivery>>,
    suspects: mpsc::UnboundedSender<Suspect>,
    rejections: TaskTracker,
}

impl Lanes {
    /// Opens the lanes and spawns what works on them on `tasks`, until `stop`: then what hasn't started is handed back.
    pub fn open(work: Arc<Work>, stop: &CancellationToken, tasks: &mut tokio::task::JoinSet<()>) -> Arc<Self> {
        let mut handlers = BTreeMap::new();
        for handler in work.consumer.handlers() {
            let (sender, receiver) = mpsc::unbounded_channel();
            handlers.insert(handler.event_type().as_str(), sender);
            tasks.spawn(lane(work.clone(), handler.clone(), receiver, stop.clone()));
        }
        let (suspects, receiver) = mpsc::unbounded_channel();
        tasks.spawn(suspect_lane(work.clone(), receiver, handlers.clone(), stop.clone()));
        Arc::new(Self { work, handlers, suspects, rejections: TaskTracker::new() })
    }

    /// Reads messages and puts each in its lane.
    pub fn deliver(&self, messages: Vec<Held>) {
        for held in messages {
            match decode(&self.work.consumer, &self.work.window, self.work.clock.now(), held) {
                Ok((handler, delivery)) => self.put(handler, delivery),
                Err(unreadable) => {
                    let work = self.work.clone();
                    self.rejections.spawn(async move { work.reject(*unreadable).await });
                }
            }
        }
    }

    fn put(&self, handler: Arc<dyn AnyHandler>, delivery: Delivery) {
        let refused = if delivery.held.message.receive_count >= SUSPECT_FROM {
            self.suspects.send((handler, delivery)).err().map(|error| error.0.1)
        } else {
            let lane = &self.handlers[handler.event_type().as_str()];
            lane.send(delivery).err().map(|error| error.0)
        };
        // The lane has closed: the worker is stopping.
        if let Some(delivery) = refused {
            let settler = self.work.settler.clone();
            self.rejections.spawn(async move { settler.release(vec![(delivery.held, Duration::ZERO)]).await });
        }
    }

    /// Waits for what was settled outside a lane. Call when nothing is delivered any more.
    pub async fn finish(&self) {
        self.rejections.close();
        self.rejections.wait().await;
    }
}

async fn lane(
    work: Arc<Work>,
    handler: Arc<dyn AnyHandler>,
    mut waiting: mpsc::UnboundedReceiver<Delivery>,
    stop: CancellationToken,
) {
    let batches = TaskTracker::new();
    while let Some(Some(first)) = stop.run_until_cancelled(waiting.recv()).await {
        let Some(permit) = stop.run_until_cancelled(work.running.clone().acquire_owned()).await else {
            work.settler.release(vec![(first.held, Duration::ZERO)]).await;
            break;
        };
        let mut batch = vec![first];
        while batch.len() < work.batch
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let (work, handler, stop) = (work.clone(), handler.clone(), stop.clone());
        batches.spawn(async move {
            match stop.run_until_cancelled(work.solitude.read()).await {
                Some(_others_may_run) => work.process(&handler, batch).await,
                None => work.settler.release(batch.into_iter().map(|d| (d.held, Duration::ZERO)).collect()).await,
            }
            drop(permit);
        });
    }
    waiting.close();
    let mut rest = Vec::new();
    while let Some(delivery) = waiting.recv().await {
        rest.push((delivery.held, Duration::ZERO));
    }
    work.settler.release(rest).await;
    batches.close();
    batches.wait().await;
}

async fn suspect_lane(
    work: Arc<Work>,
    mut arriving: mpsc::UnboundedReceiver<Suspect>,
    handlers: BTreeMap<&'static str, mpsc::UnboundedSender<Delivery>>,
    stop: CancellationToken,
) {
    let mut suspects: Vec<Suspect> = Vec::new();
    while !stop.is_cancelled() {
        let mut arrived = Vec::new();
        if suspects.is_empty() {
            match stop.run_until_cancelled(arriving.recv()).await {
                Some(Some(first)) => arrived.push(first),
                _ => break,
            }
        }
        while let Ok(next) = arriving.try_recv() {
            arrived.push(next);
        }
        suspects.extend(work.acquit(arrived, &handlers).await);
        if suspects.is_empty() {
            continue;
        }
        let (handler, delivery) = suspects.swap_remove(rand::random_range(..suspects.len()));
        let alone = stop.run_until_cancelled(work.solitude.write()).await;
        if alone.is_some() {
            // Were this one to kill the process, what is done must not come again for it.
            stop.run_until_cancelled(work.settler.flush()).await;
        }
        // A suspect is the last thing to begin while stopping.
        if stop.is_cancelled() {
            suspects.push((handler, delivery));
            break;
        }
        counter!("worker_suspects_total").increment(1);
        work.process(&handler, vec![delivery]).await;
    }
    arriving.close();
    while let Some(suspect) = arriving.recv().await {
        suspects.push(suspect);
    }
    let rest = suspects.into_iter().map(|(_, delivery)| (delivery.held, Duration::ZERO));
    work.settler.release(rest.collect()).await;
}

impl Work {
    /// Puts those into their ordinary lanes whose receives are explained by recorded failures: they have failed, but killed
    /// nobody.
    async fn acquit(
        &self,
        arrived: Vec<Suspect>,
        handlers: &BTreeMap<&'static str, mpsc::UnboundedSender<Delivery>>,
    ) -> Vec<Suspect> {
        if arrived.is_empty() {
            return arrived;
        }
        let keys: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.key.as_uuid()).collect();
        let ids: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.held.message.id.0.clone()).collect();
        let explained = match inbox::explained_receives(&self.applier.transactions.pool, &keys, &ids).await {
            Ok(explained) => explained,
            Err(error) => {
                tracing::warn!(%error, "could not look for recorded failures; running messages alone");
                return arrived;
            }
        };
        let (acquitted, mut suspects): (Vec<_>, Vec<_>) = arrived.into_iter().partition(|(_, delivery)| {
            let message = &delivery.held.message;
            let explained = explained.get(&message.id.0).copied().unwrap_or(0);
            message.receive_count.saturating_sub(explained) < SUSPECT_FROM
        });
        for (handler, delivery) in acquitted {
            if let Err(closed) = handlers[handler.event_type().as_str()].send(delivery) {
                suspects.push((handler, closed.0));
            }
        }
        suspects
    }

    async fn process(&self, handler: &Arc<dyn AnyHandler>, batch: Vec<Delivery>) {
        histogram!("worker_batch_messages", "handler" => handler.name()).record(batch.len() as f64);
        let settlements = self.applier.apply(handler, units(batch)).await;
        let mut released = Vec::new();
        for (unit, settlement) in settlements {
            match settlement {
                Settlement::Acknowledge { duplicate } => self.acknowledge(handler, unit, duplicate),
                Settlement::Release(delay) => {
                    released.extend(unit.copies.into_iter().map(|delivery| (delivery.held, delay)));
                }
                Settlement::DeadLetter(report) => {
                    // One dead letter for all copies in hand.
                    let mut held = unit.copies.into_iter().map(|delivery| delivery.held);
                    if let Some(first) = held.next() {
                        let sent = self.dead_letter(first, &report).await;
                        for copy in held {
                            if sent {
                                self.settler.delete(copy);
                            } else {
                                released.push((copy, DEAD_LETTER_RETRY));
                            }
                        }
                    }
                }
                Settlement::Nothing => {}
            }
        }
        self.settler.release(released).await;
    }

    fn acknowledge(&self, handler: &Arc<dyn AnyHandler>, unit: Unit, duplicate: bool) {
        let copies = unit.copies.len() as u64;
        let duplicates = if duplicate { copies } else { copies - 1 };
        counter!("worker_applied_total", "handler" => handler.name()).increment(u64::from(!duplicate));
        counter!("worker_duplicates_total", "handler" => handler.name()).increment(duplicates);
        if !duplicate && let Some(first) = unit.copies.first() {
            let age = self.clock.now() - first.event_time();
            histogram!("worker_event_age_seconds", "handler" => handler.name()).record(age.as_seconds_f64().max(0.0));
        }
        for delivery in unit.copies {
            self.settler.delete(delivery.held);
        }
    }

    async fn dead_letter(&self, held: Held, report: &FailureReport) -> bool {
        match self.dead_letters.send(&held, report).await {
            Ok(()) => {
                self.settler.delete(held);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the dead-letter queue did not take a message; it goes back to its queue");
                self.settler.release(vec![(held, DEAD_LETTER_RETRY)]).await;
                false
            }
        }
    }

    /// Dead-letters a message that no handler can ever get.
    async fn reject(&self, unreadable: Unreadable) {
        let Unreadable { held, envelope, reason, error } = unreadable;
        let failure = Failure::new(FailureClass::Reject, reason.as_str(), self.consumer.name(), &*error);
        let failed = FailedEvent {
            failure: &failure,
            event: envelope.as_ref().map(|(envelope, key)| (envelope, *key)),
            message_id: &held.message.id.0,
            receive_count: held.message.receive_count,
            handler: None,
        };
        // The dead letter itself carries the reason, so a database that is down doesn't hold it up.
        if let Err(error) = self.applier.recorder.record(std::slice::from_ref(&failed)).await {
            tracing::warn!(%error, "a rejection could not be recorded; its dead letter carries the reason");
        }
        let report = self.applier.recorder.report(&failed, 1);
        self.dead_letter(held, &report).await;
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
