//! Leases: keeping what is held hidden from other workers, and noticing when that has failed.
//!
//! One ticker extends everything held, waiting messages included, since the visibility clock covers the whole time in
//! hand and not just the handler. A lease is over when the local clock says so: SQS answers 200 to much that it doesn't
//! do, and a lease counted from before the request can only be too short, never too long.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use messaging::{EntryError, Queue, RawMessage, Receipt};
use metrics::{counter, gauge};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;

/// A message in hand: its lease, and the credit it was received on. Dropping it gives both back, and the queue hands
/// the message out again when its visibility ends.
pub(crate) struct Held {
    pub message: RawMessage,
    pub lease: Lease,
    pub _credit: [OwnedSemaphorePermit; 2],
}

/// The right to work on a message. Ends when dropped.
pub(crate) struct Lease {
    id: u64,
    leases: Arc<Leases>,
    state: Arc<State>,
}

/// All leases of one worker.
pub(crate) struct Leases {
    queue: Arc<dyn Queue>,
    length: Duration,
    next_id: AtomicU64,
    entries: Mutex<HashMap<u64, Entry>>,
    /// Held during a round of extensions. See [`Leases::end`].
    round: tokio::sync::Mutex<()>,
}

struct Entry {
    receipt: Receipt,
    since: Instant,
    expires: Instant,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    lost: AtomicBool,
    /// Work to cancel when the lease is lost.
    work: Mutex<Option<CancellationToken>>,
}

/// SQS hides a message for twelve hours in all, counted from its receive.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

impl Leases {
    pub fn new(queue: Arc<dyn Queue>, length: Duration) -> Arc<Self> {
        Arc::new(Self {
            queue,
            length,
            next_id: AtomicU64::new(0),
            entries: Mutex::default(),
            round: tokio::sync::Mutex::default(),
        })
    }

    /// Takes up a lease that began at `since`, before the request that received the message.
    pub fn begin(self: &Arc<Self>, receipt: Receipt, since: Instant) -> Lease {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State::default());
        let entry = Entry { receipt, since, expires: since + self.length, state: state.clone() };
        let mut entries = self.entries();
        entries.insert(id, entry);
        gauge!("worker_held_messages").set(entries.len() as f64);
        Lease { id, leases: self.clone(), state }
    }

    /// Ends leases before their messages are handed back. An extension that is under way would otherwise arrive after
    /// the hand-back and hide the message again.
    pub async fn end(&self, leases: Vec<Lease>) {
        drop(leases);
        drop(self.round.lock().await);
    }

    /// Extends and expires leases until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let extending = async {
            let mut tick = tokio::time::interval(self.length / 4);
            loop {
                tick.tick().await;
                self.extend().await;
            }
        };
        // Apart from extending, which may be waiting for an answer just when leases run out.
        let expiring = async {
            let mut tick = tokio::time::interval((self.length / 20).max(Duration::from_millis(50)));
            loop {
                tick.tick().await;
                self.expire();
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(extending, expiring); } => {}
        }
    }

    async fn extend(&self) {
        let _round = self.round.lock().await;
        let asked_at = Instant::now();
        let (ids, changes): (Vec<_>, Vec<_>) = self
            .entries()
            .iter()
            .filter(|(_, entry)| entry.expires < asked_at + self.length * 4 / 5)
            .filter(|(_, entry)| asked_at + self.length < entry.since + LONGEST)
            .map(|(id, entry)| (*id, (entry.receipt.clone(), self.length)))
            .unzip();
        if changes.is_empty() {
            return;
        }
        let results = self.queue.change_visibility(&changes).await;
        for (id, result) in ids.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    if let Some(entry) = self.entries().get_mut(&id) {
                        entry.expires = asked_at + self.length;
                    }
                }
                Err(EntryError::Gone { code }) => self.lose(id, &code),
                Err(error) => tracing::warn!(%error, "a lease could not be extended; trying again until it runs out"),
            }
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        let expired: Vec<_> =
            self.entries().iter().filter(|(_, entry)| entry.expires <= now).map(|(id, _)| *id).collect();
        for id in expired {
            self.lose(id, "expired by the local clock");
        }
    }

    fn lose(&self, id: u64, why: &str) {
        let Some(entry) = self.entries().remove(&id) else { return };
        counter!("worker_leases_lost_total").increment(1);
        tracing::warn!(why, "a lease was lost; its work is cancelled and the queue will hand the message out again");
        entry.state.lost.store(true, Ordering::SeqCst);
        if let Some(work) = entry.state.work.lock().unwrap_or_else(PoisonError::into_inner).take() {
            work.cancel();
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub fn is_lost(&self) -> bool {
        self.state.lost.load(Ordering::SeqCst)
    }

    /// Cancels `work` when the lease is lost, at once where it is lost already.
    pub fn guards(&self, work: &CancellationToken) {
        *self.state.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work.clone());
        if self.is_lost() {
            work.cancel();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.leases.entries();
        entries.remove(&self.id);
        gauge!("worker_held_messages").set(entries.len() as f64);
    }
}
