use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{BusError, EntryError, MAX_BATCH_ENTRIES, MessageId, OutgoingMessage, RawMessage, Receipt};

/// What one receive asks for.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveRequest {
    /// One to ten.
    pub max: usize,
    /// How long to wait for a first message; zero asks once. At most 20 s, in whole seconds.
    pub wait: Duration,
    /// How long the messages stay hidden from others: the lease. In whole seconds, at most 12 h.
    pub visibility: Duration,
}

/// Messages in a queue, roughly: brokers count eventually.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub visible: u64,
    pub in_flight: u64,
}

/// A queue with visibility timeouts and receive counts.
///
/// The batch calls take any number of entries and answer for each at its position. An expired receipt may answer `Ok`
/// without effect (SQS does for `DeleteMessage`), so an `Ok` never proves that a lease was held.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;

    /// What kind of queue it is, as OpenTelemetry calls it in `messaging.system`.
    fn system(&self) -> &'static str;

    /// How many entries of [`delete`](Self::delete) and [`change_visibility`](Self::change_visibility) make one request: who
    /// gathers entries gathers as many. Any number may be given.
    fn settles_at_once(&self) -> usize {
        MAX_BATCH_ENTRIES
    }

    /// Hands out messages and hides them for `visibility`. The clock of that lease starts before this answers.
    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<RawMessage>, BusError> {
        self.receive_until(request, &CancellationToken::new()).await
    }

    /// As [`receive`](Self::receive), but doesn't wait on after `stop`. SQS can't be told, and ends its polls by itself:
    /// what it has assigned to one would be hidden and unread.
    async fn receive_until(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError>;

    /// Removes messages for good. Idempotent.
    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>>;

    /// Sets how long, from now, messages stay hidden; zero hands them back at once. A handed-back message counts as
    /// received all the same.
    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>>;

    /// Sends straight to this queue, past any topic: dead letters and their replay.
    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>>;

    async fn counts(&self) -> Result<Counts, BusError>;
}
