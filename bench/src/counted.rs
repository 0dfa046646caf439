//! Queues that tell how far they are: what a measure in this process waits for.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use messaging::{BusError, Counts, EntryError, MessageId, OutgoingMessage, Queue, RawMessage, Receipt, ReceiveRequest};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// A queue, with the time from its first receive until so many messages are deleted.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Queue>,
    begun: OnceLock<Instant>,
    deleted: AtomicUsize,
    expected: usize,
    ended: watch::Sender<Option<Instant>>,
}

impl Counted {
    pub fn new(inner: Arc<dyn Queue>, expected: usize) -> Self {
        let ended = watch::Sender::new(None);
        Self { inner, begun: OnceLock::new(), deleted: AtomicUsize::new(0), expected, ended }
    }

    /// Waits until all are deleted; answers how long that took.
    pub async fn until_all_are_deleted(&self) -> Duration {
        let mut ended = self.ended.subscribe();
        // The sender lives in `self`, so this can't fail.
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| *ended);
        ended.zip(self.begun.get()).map_or(Duration::ZERO, |(ended, begun)| ended - *begun)
    }
}

#[async_trait]
impl Queue for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn settles_at_once(&self) -> usize {
        self.inner.settles_at_once()
    }

    async fn receive_until(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError> {
        self.begun.get_or_init(Instant::now);
        self.inner.receive_until(request, stop).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        let results = self.inner.delete(receipts).await;
        let deleted = results.iter().filter(|result| result.is_ok()).count();
        if self.deleted.fetch_add(deleted, Ordering::SeqCst) + deleted >= self.expected {
            self.ended.send_if_modified(|ended| ended.is_none() && ended.replace(Instant::now()).is_none());
        }
        results
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        self.inner.change_visibility(changes).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        self.inner.send(messages).await
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        self.inner.counts().await
    }
}

/// A queue without a broker: what is in it is ready, and what is deleted was handed out before.
#[derive(Debug)]
pub struct ReadyQueue(Mutex<VecDeque<RawMessage>>);

impl ReadyQueue {
    pub fn of(messages: Vec<RawMessage>) -> Self {
        Self(Mutex::new(messages.into()))
    }
}

#[async_trait]
impl Queue for ReadyQueue {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn system(&self) -> &'static str {
        "memory"
    }

    async fn receive_until(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError> {
        let taken: Vec<_> = {
            let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let most = request.max.min(ready.len());
            ready.drain(..most).collect()
        };
        if taken.is_empty() {
            stop.run_until_cancelled(tokio::time::sleep(request.wait)).await;
        }
        Ok(taken)
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        vec![Ok(()); receipts.len()]
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        vec![Ok(()); changes.len()]
    }

    /// Nothing is ever dead-lettered here, so nothing may be sent.
    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        vec![Err(EntryError::refused("ReadOnly", "a queue for measuring takes no messages")); messages.len()]
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        let visible = self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        Ok(Counts { visible, in_flight: 0 })
    }
}
