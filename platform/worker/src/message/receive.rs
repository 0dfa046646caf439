//! Polling, as far as credit allows.
//!
//! Credit, in messages and in bytes, is taken before a poll starts: what is received has a place already, and nothing
//! ages in a buffer that grew too large. Polls multiply while they come back full and go back to one when one comes
//! back empty, so an idle worker costs one long poll at a time.

use std::{sync::Arc, time::Duration};

use messaging::{BusError, Queue, RawMessage, ReceiveRequest, RetryDelay};
use schemas::Clock;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    measure::{self, Labels},
    message::lease::{Held, Leases},
    settings::{POLL_KIB, POLL_MESSAGES, WorkerSettings},
    status::Status,
    transaction::{breaker::Circuits, failure::chain},
};

pub(crate) struct Receiver {
    pub queue: Arc<dyn Queue>,
    pub leases: Arc<Leases>,
    pub circuits: Circuits,
    pub settings: Arc<WorkerSettings>,
    pub status: Status,
    pub labels: Labels,
    pub clock: Clock,
}

/// Room for one full poll.
struct Credit {
    messages: OwnedSemaphorePermit,
    kib: OwnedSemaphorePermit,
}

struct Polled {
    credit: Credit,
    since: Instant,
    answer: Result<Vec<RawMessage>, BusError>,
}

const TICK: Duration = Duration::from_millis(500);
const POLL_RETRY: RetryDelay = RetryDelay::new(Duration::from_millis(500), Duration::from_secs(20));

impl Receiver {
    /// Polls and passes on what was received, until `stop`; then lets running polls end, since SQS may already have
    /// assigned messages to them that an aborted poll would leave hidden and unread.
    pub async fn run(self, deliver: impl Fn(Vec<Held>), stop: CancellationToken) {
        let messages = Arc::new(Semaphore::new(self.settings.most_held));
        let kib = Arc::new(Semaphore::new(self.settings.most_held_bytes / 1024));
        let mut polls = JoinSet::new();
        let mut wanted = 1;
        let mut failures = 0;
        let mut rest_until = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        while !stop.is_cancelled() {
            self.status.receiving();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
                credit = self.credit(&messages, &kib, rest_until), if polls.len() < wanted => {
                    polls.spawn(poll(self.queue.clone(), self.request(), credit, stop.clone()));
                }
                Some(polled) = polls.join_next() => {
                    let received = self.take_up(alive(polled), &deliver);
                    failures = if received.is_some() { 0 } else { failures + 1 };
                    wanted = match received {
                        Some(POLL_MESSAGES) => (wanted + 1).min(self.settings.most_polls),
                        Some(0) | None => 1,
                        Some(_) => wanted,
                    };
                    self.labels.polls_wanted(wanted);
                    if received.is_none() {
                        rest_until = Instant::now() + POLL_RETRY.after(failures);
                    }
                }
            }
        }
        while !polls.is_empty() {
            self.status.receiving();
            tokio::select! {
                Some(polled) = polls.join_next() => drop(self.take_up(alive(polled), &deliver)),
                _ = tick.tick() => {}
            }
        }
    }

    fn request(&self) -> ReceiveRequest {
        // The first poll doesn't wait: it tells whether the queue answers, which readiness is waiting for.
        let wait = if self.status.since_last_poll().is_none() { Duration::ZERO } else { self.settings.wait };
        ReceiveRequest { max: POLL_MESSAGES, wait, visibility: self.settings.lease }
    }

    async fn credit(&self, messages: &Arc<Semaphore>, kib: &Arc<Semaphore>, rest_until: Instant) -> Credit {
        tokio::time::sleep_until(rest_until).await;
        self.circuits.until_all_closed().await;
        self.leases.keeping_up().await;
        let messages = messages.clone().acquire_many_owned(POLL_MESSAGES as u32).await;
        let kib = kib.clone().acquire_many_owned(POLL_KIB as u32).await;
        let never_closed = "the semaphore is never closed";
        Credit { messages: messages.expect(never_closed), kib: kib.expect(never_closed) }
    }

    /// Passes on what a poll brought, each message with its own part of the credit; the rest is free again. Answers how
    /// many there were, `None` where the poll failed.
    fn take_up(&self, polled: Polled, deliver: &impl Fn(Vec<Held>)) -> Option<usize> {
        let Polled { mut credit, since, answer } = polled;
        let messages = match answer {
            Ok(messages) => messages,
            Err(error) => {
                measure::poll_failed();
                tracing::warn!(error = chain(&error), "a poll failed; trying again");
                return None;
            }
        };
        self.status.polled(messages.len());
        self.labels.received(messages.len());
        self.labels.last_poll(self.clock.now());
        let count = messages.len();
        let held = messages.into_iter().filter_map(|message| {
            // The queue may break its own limits; what has no credit left is left to come again.
            let kib = message.body.len().div_ceil(1024).clamp(1, credit.kib.num_permits().max(1));
            let parts = [credit.messages.split(1)?, credit.kib.split(kib)?];
            let lease = self.leases.begin(&message, since);
            Some(Held { message, lease, _credit: parts })
        });
        deliver(held.collect());
        Some(count)
    }
}

/// A poll that panicked is a mistake in the queue's client: a worker that went on would look well and receive nothing.
fn alive(polled: Result<Polled, JoinError>) -> Polled {
    polled.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}

async fn poll(queue: Arc<dyn Queue>, request: ReceiveRequest, credit: Credit, stop: CancellationToken) -> Polled {
    let since = Instant::now();
    let answer = queue.receive_until(request, &stop).await;
    Polled { credit, since, answer }
}
