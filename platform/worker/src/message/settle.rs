//! Giving messages back: acknowledged for good, or handed back with a delay.
//!
//! Acknowledgements are coalesced: as many as make a request (ten, with SQS), or whatever has come together ten
//! milliseconds after the first. The limit is on age, not on quiet, so a steady trickle can't starve it. Until the queue
//! has answered, a message counts as held.

use std::{sync::Arc, time::Duration};

use messaging::{EntryError, Queue, RetryDelay};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{
    measure,
    message::lease::{Held, Leases},
};

const MAX_AGE: Duration = Duration::from_millis(10);
const REQUESTS_IN_FLIGHT: usize = 8;
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
    Delete(Vec<Committed>),
    Flush(oneshot::Sender<()>),
}

/// A message whose work is done, and since when.
struct Committed {
    held: Held,
    at: Instant,
}

impl Settler {
    /// The settler, and the task that acknowledges for it.
    pub fn new(queue: Arc<dyn Queue>, leases: Arc<Leases>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (acknowledge, asked) = mpsc::unbounded_channel();
        let settler = Self { acknowledge, queue: queue.clone(), leases };
        (settler, acknowledge_until_closed(queue, asked))
    }

    /// Deletes messages whose work is committed, soon. All of a batch go together: one by one, passing them on cost more than
    /// what is done with them.
    pub fn delete(&self, held: impl IntoIterator<Item = Held>) {
        let at = Instant::now();
        let committed = held.into_iter().inspect(|held| held.lease.settling()).map(|held| Committed { held, at });
        if self.acknowledge.send(Ask::Delete(committed.collect())).is_err() {
            tracing::error!("the acknowledging task has ended; copies of messages will come and be recognised");
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
        measure::released(messages.len());
        for (held, delay) in &messages {
            self.leases.hand_back(&held.message, *delay);
        }
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
    let mut requests = JoinSet::new();
    let full = queue.settles_at_once();
    let mut waiting: Vec<Committed> = Vec::new();
    let mut due = Instant::now();
    loop {
        let ask = tokio::select! {
            biased;
            () = tokio::time::sleep_until(due), if !waiting.is_empty() => {
                request(&queue, &mut requests, &mut waiting).await;
                continue;
            }
            Some(ended) = requests.join_next() => {
                alive(ended);
                continue;
            }
            ask = asked.recv() => ask,
        };
        match ask {
            Some(Ask::Delete(committed)) => {
                let came = Instant::now();
                if waiting.is_empty() {
                    due = came + MAX_AGE;
                }
                waiting.extend(committed);
                while waiting.len() >= full {
                    let rest = waiting.split_off(full);
                    request(&queue, &mut requests, &mut waiting).await;
                    // Whatever is left came just now.
                    (waiting, due) = (rest, came + MAX_AGE);
                }
            }
            Some(Ask::Flush(done)) => {
                request(&queue, &mut requests, &mut waiting).await;
                all_answered(&mut requests).await;
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            None => {
                request(&queue, &mut requests, &mut waiting).await;
                all_answered(&mut requests).await;
                return;
            }
        }
    }
}

async fn request(queue: &Arc<dyn Queue>, requests: &mut JoinSet<()>, waiting: &mut Vec<Committed>) {
    if waiting.is_empty() {
        return;
    }
    if requests.len() == REQUESTS_IN_FLIGHT
        && let Some(ended) = requests.join_next().await
    {
        alive(ended);
    }
    let committed = std::mem::take(waiting);
    let queue = queue.clone();
    requests.spawn(async move { delete(&*queue, committed).await });
}

async fn all_answered(requests: &mut JoinSet<()>) {
    while let Some(ended) = requests.join_next().await {
        alive(ended);
    }
}

/// Were a request to panic and nobody to notice, what it had to acknowledge would come again and again.
fn alive(ended: Result<(), JoinError>) {
    if let Err(died) = ended {
        std::panic::resume_unwind(died.into_panic());
    }
}

async fn delete(queue: &dyn Queue, mut committed: Vec<Committed>) {
    for attempt in 1..=ATTEMPTS {
        let receipts: Vec<_> = committed.iter().map(|committed| committed.held.message.receipt.clone()).collect();
        let results = queue.delete(&receipts).await;
        // What is gone was redelivered meanwhile: the copy will be recognised and deleted in its turn.
        let (failed, done): (Vec<_>, Vec<_>) =
            committed.into_iter().zip(results).partition(|(_, result)| can_retry(result));
        measure::acknowledged(done.iter().map(|(committed, _)| committed.at.elapsed()));
        committed = failed.into_iter().map(|(committed, _)| committed).collect();
        if committed.is_empty() {
            return;
        }
        tokio::time::sleep(RETRY.after(attempt)).await;
    }
    tracing::warn!(messages = committed.len(), "could not acknowledge; copies will come and be recognised");
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
