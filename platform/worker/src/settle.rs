//! Giving messages back: acknowledged for good, or handed back with a delay.
//!
//! Acknowledgements are coalesced: ten, or whatever has come together ten milliseconds after the first. The limit is on
//! age, not on quiet, so a steady trickle can't starve it. Until SQS has answered, a message counts as held.

use std::{sync::Arc, time::Duration};

use messaging::{EntryError, MAX_BATCH_ENTRIES, Queue, RetryDelay};
use metrics::counter;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::lease::{Held, Leases};

const MAX_AGE: Duration = Duration::from_millis(10);
const REQUESTS_IN_FLIGHT: u32 = 8;
const ATTEMPTS: u32 = 6;
const RETRY: RetryDelay = RetryDelay::new(Duration::from_millis(200), Duration::from_secs(5));

/// Cheap to clone. The acknowledging task ends when every clone is gone.
#[derive(Clone)]
pub(crate) struct Settler {
    acknowledge: mpsc::UnboundedSender<Ask>,
    queue: Arc<dyn Queue>,
    leases: Arc<Leases>,
}

enum Ask {
    Delete(Held),
    Flush(oneshot::Sender<()>),
}

impl Settler {
    /// The settler, and the task that acknowledges for it.
    pub fn new(queue: Arc<dyn Queue>, leases: Arc<Leases>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (acknowledge, asked) = mpsc::unbounded_channel();
        let settler = Self { acknowledge, queue: queue.clone(), leases };
        (settler, acknowledge_until_closed(queue, asked))
    }

    /// Deletes a message whose work is committed, soon.
    pub fn delete(&self, held: Held) {
        if self.acknowledge.send(Ask::Delete(held)).is_err() {
            tracing::error!("the acknowledging task has ended; a copy of the message will come and be recognised");
        }
    }

    /// Waits until everything deleted so far has been answered.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.acknowledge.send(Ask::Flush(done)).is_ok() {
            // An error is a task that has ended: then nothing is under way.
            let _ = flushed.await;
        }
    }

    /// Hands messages back to the queue, to be handed out again after their delay.
    pub async fn release(&self, messages: Vec<(Held, Duration)>) {
        if messages.is_empty() {
            return;
        }
        counter!("worker_released_total").increment(messages.len() as u64);
        let (leases, mut changes): (Vec<_>, Vec<_>) =
            messages.into_iter().map(|(held, delay)| (held.lease, (held.message.receipt, delay))).unzip();
        self.leases.end(leases).await;
        for attempt in 1..=3 {
            let results = self.queue.change_visibility(&changes).await;
            changes =
                changes.into_iter().zip(results).filter(|(_, result)| can_retry(result)).map(|(c, _)| c).collect();
            if changes.is_empty() {
                return;
            }
            tokio::time::sleep(RETRY.after(attempt)).await;
        }
        tracing::warn!(messages = changes.len(), "could not hand messages back; they return when their lease ends");
    }
}

async fn acknowledge_until_closed(queue: Arc<dyn Queue>, mut asked: mpsc::UnboundedReceiver<Ask>) {
    let permits = Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT as usize));
    let mut waiting: Vec<Held> = Vec::with_capacity(MAX_BATCH_ENTRIES);
    let mut due = Instant::now();
    loop {
        let ask = tokio::select! {
            biased;
            () = tokio::time::sleep_until(due), if !waiting.is_empty() => {
                request(&queue, &permits, &mut waiting).await;
                continue;
            }
            ask = asked.recv() => ask,
        };
        match ask {
            Some(Ask::Delete(held)) => {
                if waiting.is_empty() {
                    due = Instant::now() + MAX_AGE;
                }
                waiting.push(held);
                if waiting.len() == MAX_BATCH_ENTRIES {
                    request(&queue, &permits, &mut waiting).await;
                }
            }
            Some(Ask::Flush(done)) => {
                request(&queue, &permits, &mut waiting).await;
                drop(permits.acquire_many(REQUESTS_IN_FLIGHT).await);
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            None => {
                request(&queue, &permits, &mut waiting).await;
                drop(permits.acquire_many(REQUESTS_IN_FLIGHT).await);
                return;
            }
        }
    }
}

async fn request(queue: &Arc<dyn Queue>, permits: &Arc<Semaphore>, waiting: &mut Vec<Held>) {
    if waiting.is_empty() {
        return;
    }
    let held = std::mem::replace(waiting, Vec::with_capacity(MAX_BATCH_ENTRIES));
    let queue = queue.clone();
    let permit = permits.clone().acquire_owned().await;
    tokio::spawn(async move {
        delete(&*queue, held).await;
        drop(permit);
    });
}

async fn delete(queue: &dyn Queue, mut held: Vec<Held>) {
    for attempt in 1..=ATTEMPTS {
        let receipts: Vec<_> = held.iter().map(|held| held.message.receipt.clone()).collect();
        let results = queue.delete(&receipts).await;
        counter!("worker_delete_requests_total").increment(1);
        // What is gone was redelivered meanwhile: the copy will be recognised and deleted in its turn.
        held = held.into_iter().zip(results).filter(|(_, result)| can_retry(result)).map(|(held, _)| held).collect();
        if held.is_empty() {
            return;
        }
        tokio::time::sleep(RETRY.after(attempt)).await;
    }
    tracing::warn!(messages = held.len(), "could not acknowledge; copies will come and be recognised");
}

fn can_retry(result: &Result<(), EntryError>) -> bool {
    match result {
        Ok(()) => false,
        Err(EntryError::Gone { code }) => {
            tracing::debug!(code, "a receipt was void when its message was settled");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "a message could not be settled");
            true
        }
    }
}
