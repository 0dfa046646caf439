//! Queues with something wrong, or something to count: each is the real one but for that.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use messaging::{BusError, Counts, EntryError, MessageId, OutgoingMessage, Queue, RawMessage, Receipt, ReceiveRequest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Nothing,
    /// Every lease is lost as soon as it is to be extended.
    LosesLeases,
    /// Of each message the first deletion fails, for that entry alone.
    FailsEachDeletionOnce,
    /// Deletes answer once the test says so.
    DeletesLate,
    /// The first polls are not answered.
    FirstPollsFail,
    /// A mistake in its client.
    PollsPanic,
    DeletesPanic,
}

#[derive(Debug)]
struct Watched {
    queue: Arc<dyn Queue>,
    trouble: Trouble,
    seen: Arc<Seen>,
}

/// The same queue with its trouble, and what is seen of it.
pub fn watched(queue: Arc<dyn Queue>, trouble: Trouble) -> (Arc<dyn Queue>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    (Arc::new(Watched { queue, trouble, seen: seen.clone() }), seen)
}

/// What was asked of it.
#[derive(Debug, Default)]
pub struct Seen {
    pub receives: AtomicUsize,
    /// Receives that are under way, and how many there were at the most since the test last set it.
    pub open: AtomicUsize,
    pub most_open: AtomicUsize,
    /// The receipts of each request to delete.
    pub deletes: Mutex<Vec<Vec<Receipt>>>,
    pub may_delete: watch::Sender<bool>,
    failed: Mutex<HashSet<Receipt>>,
}

impl Watched {
    fn fails(&self, receipt: &Receipt) -> bool {
        self.trouble == Trouble::FailsEachDeletionOnce && self.seen.failed.lock().unwrap().insert(receipt.clone())
    }
}

#[async_trait]
impl Queue for Watched {
    fn name(&self) -> &str {
        self.queue.name()
    }

    fn system(&self) -> &'static str {
        self.queue.system()
    }

    async fn receive_until(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError> {
        let before = self.seen.receives.fetch_add(1, Ordering::SeqCst);
        if self.trouble == Trouble::FirstPollsFail && before < 3 {
            return Err(BusError::new("ReceiveMessage", self.name(), "connection closed"));
        }
        assert_ne!(self.trouble, Trouble::PollsPanic, "a mistake in the client");
        let open = self.seen.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_open.fetch_max(open, Ordering::SeqCst);
        let received = self.queue.receive_until(request, stop).await;
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
        received
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        self.seen.deletes.lock().unwrap().push(receipts.to_vec());
        assert_ne!(self.trouble, Trouble::DeletesPanic, "a mistake in the client");
        if self.trouble == Trouble::DeletesLate {
            self.seen.may_delete.subscribe().wait_for(|may| *may).await.unwrap();
        }
        let (failing, deleted): (Vec<_>, Vec<_>) = receipts.iter().cloned().partition(|receipt| self.fails(receipt));
        let mut results = self.queue.delete(&deleted).await.into_iter();
        let answer = |receipt| match failing.contains(receipt) {
            true => Err(EntryError::unavailable("InternalError", "try again")),
            false => results.next().unwrap(),
        };
        receipts.iter().map(answer).collect()
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        if self.trouble == Trouble::LosesLeases {
            return changes
                .iter()
                .map(|_| Err(EntryError::Gone { code: "ReceiptHandleIsInvalid".to_owned() }))
                .collect();
        }
        self.queue.change_visibility(changes).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        self.queue.send(messages).await
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        self.queue.counts().await
    }
}
