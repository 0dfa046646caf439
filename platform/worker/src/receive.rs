//! Polling, as far as credit allows.
//!
//! Credit, in messages and in bytes, is taken before a poll starts: what is received has a place already, and nothing
//! ages in a buffer that grew too large. Polls multiply while they come back full and go back to one when one comes
//! back empty, so an idle worker costs one long poll at a time.

use std::{sync::Arc, time::Duration};

use messaging::{BusError, Queue, RawMessage, ReceiveRequest, RetryDelay};
use metrics::{counter, gauge};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::chain,
    lease::{Held, Leases},
    outage::Outages,
    settings::{POLL_KIB, POLL_MESSAGES, WorkerSettings},
    worker::Status,
};

pub(crate) struct Receiver {
    pub queue: Arc<dyn Queue>,
    pub leases: Arc<Leases>,
    pub outages: Outages,
    pub settings: Arc<WorkerSettings>,
    pub status: Status,
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
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                credit = self.credit(&messages, &kib), if polls.len() < wanted => {
                    polls.spawn(poll(self.queue.clone(), self.request(), credit, stop.clone()));
                }
                Some(polled) = polls.join_next() => {
                    let Ok(polled) = polled else { continue };
                    let received = self.take_up(polled, &deliver);
                    failures = if received.is_some() { 0 } else { failures + 1 };
                    wanted = match received {
                        Some(POLL_MESSAGES) => (wanted + 1).min(self.settings.most_polls),
                        Some(0) | None => 1,
                        Some(_) => wanted,
                    };
                    gauge!("worker_polls_wanted").set(wanted as f64);
                    if received.is_none() {
                        stop.run_until_cancelled(tokio::time::sleep(POLL_RETRY.after(failures))).await;
                    }
                }
            }
        }
        while let Some(polled) = polls.join_next().await {
            if let Ok(polled) = polled {
                self.take_up(polled, &deliver);
            }
        }
    }

    fn request(&self) -> ReceiveRequest {
        // The first poll doesn't wait: it tells whether the queue answers, which readiness is waiting for.
        let wait = if self.status.since_last_poll().is_none() { Duration::ZERO } else { self.settings.wait };
        ReceiveRequest { max: POLL_MESSAGES, wait, visibility: self.settings.lease }
    }

    async fn credit(&self, messages: &Arc<Semaphore>, kib: &Arc<Semaphore>) -> Credit {
        self.outages.over().await;
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
                counter!("worker_poll_failures_total").increment(1);
                tracing::warn!(error = chain(&error), "a poll failed; trying again");
                return None;
            }
        };
        self.status.polled();
        counter!("worker_received_total").increment(messages.len() as u64);
        let count = messages.len();
        let held = messages.into_iter().filter_map(|message| {
            // The queue may break its own limits; what has no credit left is left to come again.
            let kib = message.body.len().div_ceil(1024).clamp(1, credit.kib.num_permits().max(1));
            let parts = [credit.messages.split(1)?, credit.kib.split(kib)?];
            let lease = self.leases.begin(message.receipt.clone(), since);
            Some(Held { message, lease, _credit: parts })
        });
        deliver(held.collect());
        Some(count)
    }
}

async fn poll(queue: Arc<dyn Queue>, request: ReceiveRequest, credit: Credit, stop: CancellationToken) -> Polled {
    let since = Instant::now();
    let answer = queue.receive_until(request, &stop).await;
    Polled { credit, since, answer }
}
