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

use futures_util::{StreamExt, stream};
use messaging::{EntryError, MessageId, Queue, RawMessage, Receipt};
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{measure, status::Status};

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
    status: Status,
    next_id: AtomicU64,
    entries: Mutex<HashMap<u64, Entry>>,
    handed_back: Mutex<HashMap<MessageId, HandedBack>>,
    /// Held during a round of extensions. See [`Leases::end`].
    round: tokio::sync::Mutex<()>,
    /// Whether the last round took too long.
    behind: watch::Sender<bool>,
}

struct Entry {
    receipt: Receipt,
    sent_at: Option<OffsetDateTime>,
    since: Instant,
    expires: Instant,
    state: Arc<State>,
}

/// A message that is to be tried again. SQS forgets how old such a message is while it is hidden.
struct HandedBack {
    sent_at: OffsetDateTime,
    /// By then somebody has it, here or in another worker.
    until: Instant,
}

#[derive(Default)]
struct State {
    lost: AtomicBool,
    /// Its message is being deleted: that its receipt is void then is no loss.
    settling: AtomicBool,
    /// Work to cancel when the lease is lost.
    work: Mutex<Option<CancellationToken>>,
}

/// SQS hides a message for twelve hours in all, counted from its receive.
/// Source: `ChangeMessageVisibility`, SQS API Reference.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// Requests for extensions that are under way at a time.
const REQUESTS_IN_FLIGHT: usize = 8;

impl Leases {
    pub fn new(queue: Arc<dyn Queue>, length: Duration, status: Status) -> Arc<Self> {
        Arc::new(Self {
            queue,
            length,
            status,
            next_id: AtomicU64::new(0),
            entries: Mutex::default(),
            handed_back: Mutex::default(),
            round: tokio::sync::Mutex::default(),
            behind: watch::Sender::new(false),
        })
    }

    /// Takes up a lease that began at `since`, before the request that received the message.
    pub fn begin(self: &Arc<Self>, message: &RawMessage, since: Instant) -> Lease {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State::default());
        let entry = Entry {
            receipt: message.receipt.clone(),
            sent_at: message.sent_at,
            since,
            expires: since + self.length,
            state: state.clone(),
        };
        locked(&self.handed_back).remove(&message.id);
        let mut entries = self.entries();
        entries.insert(id, entry);
        self.status.holds(entries.len());
        Lease { id, leases: self.clone(), state }
    }

    /// Ends leases before their messages are handed back. An extension that is under way would otherwise arrive after
    /// the hand-back and hide the message again.
    pub async fn end(&self, leases: Vec<Lease>) {
        drop(leases);
        drop(self.round.lock().await);
    }

    /// Keeps in mind how old a message is that comes back after `delay`.
    pub fn hand_back(&self, message: &RawMessage, delay: Duration) {
        if let Some(sent_at) = message.sent_at {
            let until = Instant::now() + delay + self.length;
            locked(&self.handed_back).insert(message.id.clone(), HandedBack { sent_at, until });
        }
    }

    /// When the oldest message was sent that is held, or was handed back and has not come again.
    pub fn oldest(&self) -> Option<OffsetDateTime> {
        let held = self.entries().values().filter_map(|entry| entry.sent_at).min();
        let now = Instant::now();
        let mut handed_back = locked(&self.handed_back);
        handed_back.retain(|_, message| message.until > now);
        held.into_iter().chain(handed_back.values().map(|message| message.sent_at)).min()
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

    /// Asks for all that is due, those first that run out first. Each request's answer counts as it comes: one that is slow
    /// must not cost the leases of others.
    async fn extend(&self) {
        let _round = self.round.lock().await;
        let begun = Instant::now();
        let mut due: Vec<_> = self
            .entries()
            .iter()
            .filter(|(_, entry)| entry.expires < begun + self.length * 4 / 5)
            .map(|(id, entry)| (entry.expires, *id))
            .collect();
        due.sort_unstable();
        let requests =
            due.chunks(self.queue.settles_at_once()).map(|some| some.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        stream::iter(requests).for_each_concurrent(REQUESTS_IN_FLIGHT, |ids| self.extend_some(ids)).await;
        // What takes longer than the pause between rounds would fall ever further behind with more in hand.
        self.behind.send_replace(begun.elapsed() > self.length / 4);
    }

    async fn extend_some(&self, ids: Vec<u64>) {
        let asked_at = Instant::now();
        let (ids, changes): (Vec<_>, Vec<_>) = {
            let entries = self.entries();
            let due = ids.into_iter().filter_map(|id| {
                let entry = entries.get(&id)?;
                Some((id, (entry.receipt.clone(), self.extension(entry, asked_at)?)))
            });
            due.unzip()
        };
        if changes.is_empty() {
            return;
        }
        let results = self.queue.change_visibility(&changes).await;
        let mut renewed = 0;
        for ((id, (_, extension)), result) in ids.into_iter().zip(&changes).zip(results) {
            match result {
                Ok(()) => {
                    renewed += 1;
                    if let Some(entry) = self.entries().get_mut(&id) {
                        entry.expires = asked_at + *extension;
                    }
                }
                Err(EntryError::Gone { .. }) if self.is_settling(id) => {}
                Err(EntryError::Gone { code }) => self.lose(id, &code),
                Err(error) => tracing::warn!(%error, "a lease could not be extended; trying again until it runs out"),
            }
        }
        measure::leases_renewed(renewed);
    }

    /// Waits until the last round of extensions was done in time. To receive more before that would be to lose it.
    pub async fn keeping_up(&self) {
        let mut behind = self.behind.subscribe();
        // The sender lives in `self`, so this can't fail.
        let _ = behind.wait_for(|behind| !behind).await;
    }

    /// By how much a lease can be extended: whole seconds, and never beyond the longest. `None`: not any more.
    fn extension(&self, entry: &Entry, asked_at: Instant) -> Option<Duration> {
        let left = (entry.since + LONGEST).saturating_duration_since(asked_at);
        let extension = self.length.min(Duration::from_secs(left.as_secs()));
        (asked_at + extension > entry.expires).then_some(extension)
    }

    fn is_settling(&self, id: u64) -> bool {
        self.entries().get(&id).is_none_or(|entry| entry.state.settling.load(Ordering::SeqCst))
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
        measure::lease_lost();
        tracing::warn!(why, "a lease was lost; its work is cancelled and the queue will hand the message out again");
        entry.state.lost.store(true, Ordering::SeqCst);
        if let Some(work) = locked(&entry.state.work).take() {
            work.cancel();
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        locked(&self.entries)
    }
}

impl Lease {
    pub fn is_lost(&self) -> bool {
        self.state.lost.load(Ordering::SeqCst)
    }

    /// From now on its message is being deleted.
    pub fn settling(&self) {
        self.state.settling.store(true, Ordering::SeqCst);
    }

    /// Cancels `work` when the lease is lost, at once where it is lost already.
    pub fn guards(&self, work: &CancellationToken) {
        *locked(&self.state.work) = Some(work.clone());
        if self.is_lost() {
            work.cancel();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.leases.entries();
        entries.remove(&self.id);
        self.leases.status.holds(entries.len());
    }
}

/// Each of these is whole after every change of it, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use messaging::{BusError, Counts, OutgoingMessage, ReceiveRequest};
    use time::macros::datetime;

    use super::*;
    use crate::transaction::breaker::Circuits;

    /// Answers to every extension what the test says, and notes until when it would hide the message.
    #[derive(Debug)]
    struct Extends {
        answer: Result<(), EntryError>,
        /// How long an answer takes.
        delay: Duration,
        until: Mutex<Option<Instant>>,
    }

    impl Extends {
        fn answering(answer: Result<(), EntryError>) -> Arc<Self> {
            Self::slowly(answer, Duration::ZERO)
        }

        fn slowly(answer: Result<(), EntryError>, delay: Duration) -> Arc<Self> {
            Arc::new(Self { answer, delay, until: Mutex::default() })
        }
    }

    #[async_trait]
    impl Queue for Extends {
        fn name(&self) -> &'static str {
            "extends"
        }

        fn system(&self) -> &'static str {
            "none"
        }

        async fn receive_until(&self, _: ReceiveRequest, _: &CancellationToken) -> Result<Vec<RawMessage>, BusError> {
            Ok(Vec::new())
        }

        async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
            vec![Ok(()); receipts.len()]
        }

        async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
            for (_, visibility) in changes {
                assert_eq!(visibility.subsec_nanos(), 0, "SQS takes whole seconds");
                *self.until.lock().unwrap() = Some(Instant::now() + *visibility);
            }
            tokio::time::sleep(self.delay).await;
            vec![self.answer.clone(); changes.len()]
        }

        async fn send(&self, _: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
            Vec::new()
        }

        async fn counts(&self) -> Result<Counts, BusError> {
            Ok(Counts { visible: 0, in_flight: 0 })
        }
    }

    const LENGTH: Duration = Duration::from_secs(60);

    fn message(id: &str, sent_at: OffsetDateTime) -> RawMessage {
        RawMessage {
            id: MessageId(id.to_owned()),
            receipt: Receipt(id.to_owned()),
            body: String::new(),
            attributes: BTreeMap::new(),
            receive_count: 1,
            sent_at: Some(sent_at),
        }
    }

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn kept(queue: Arc<dyn Queue>) -> Arc<Leases> {
        let leases = Leases::new(queue, LENGTH, Status::new("notes", Circuits::all_closed()));
        tokio::spawn(leases.clone().keep(CancellationToken::new()));
        leases
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_kept_for_twelve_hours_and_no_longer() {
        let queue = Extends::answering(Ok(()));
        let leases = kept(queue.clone());
        let (since, work) = (Instant::now(), CancellationToken::new());
        let lease = leases.begin(&message("m", NOON), since);
        lease.guards(&work);
        tokio::time::sleep_until(since + LONGEST - Duration::from_secs(5)).await;
        assert!(!lease.is_lost() && !work.is_cancelled());
        tokio::time::timeout(Duration::from_secs(10), work.cancelled()).await.expect("its work is cancelled");
        assert!(lease.is_lost());
        let asked_until = queue.until.lock().unwrap().unwrap();
        assert!(asked_until <= since + LONGEST, "SQS refuses to hide a message for longer");
        // Its heartbeat has ended with it.
        tokio::time::sleep(LENGTH * 3).await;
        assert_eq!(*queue.until.lock().unwrap(), Some(asked_until));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_can_not_be_extended_is_lost_when_it_runs_out_and_not_before() {
        let leases = kept(Extends::answering(Err(EntryError::unavailable("Timeout", "no answer"))));
        let work = CancellationToken::new();
        let lease = leases.begin(&message("m", NOON), Instant::now());
        lease.guards(&work);
        tokio::time::sleep(LENGTH * 59 / 60).await;
        assert!(!lease.is_lost());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(lease.is_lost() && work.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_void_receipt_is_a_lost_lease_unless_its_message_is_being_deleted() {
        let leases = kept(Extends::answering(Err(EntryError::Gone { code: "ReceiptHandleIsInvalid".to_owned() })));
        let [held, deleted] = ["held", "deleted"].map(|id| leases.begin(&message(id, NOON), Instant::now()));
        deleted.settling();
        tokio::time::sleep(LENGTH / 2).await;
        assert!(held.is_lost() && !deleted.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_message_is_known_also_while_it_is_hidden_for_another_try() {
        let leases = kept(Extends::answering(Ok(())));
        let (old, young) = (message("old", NOON), message("young", NOON + Duration::from_secs(60)));
        let (lease, _young) = (leases.begin(&old, Instant::now()), leases.begin(&young, Instant::now()));
        assert_eq!(leases.oldest(), Some(NOON));
        leases.hand_back(&old, Duration::from_secs(900));
        leases.end(vec![lease]).await;
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert_eq!(leases.oldest(), Some(NOON));
        // By then another worker has it, and tells of it.
        tokio::time::sleep(LENGTH * 2).await;
        assert_eq!(leases.oldest(), young.sent_at);
    }

    /// A thousand messages are a hundred requests, eight at a time: at three seconds each a round takes 39. Were their
    /// answers to count at its end, from its beginning, the second round would end after the leases of the first.
    #[tokio::test(start_paused = true)]
    async fn slow_answers_cost_no_lease_and_hold_up_receiving() {
        let leases = kept(Extends::slowly(Ok(()), Duration::from_secs(3)));
        let held: Vec<_> = (0..1_000).map(|n| leases.begin(&message(&n.to_string(), NOON), Instant::now())).collect();
        // The first round begins after a quarter of the length, when all of them are due.
        tokio::time::sleep(Duration::from_secs(58)).await;
        let waited = tokio::time::timeout(Duration::from_millis(1), leases.keeping_up()).await;
        assert!(waited.is_err(), "more would fall behind");
        tokio::time::sleep(LENGTH * 10).await;
        assert_eq!(held.iter().filter(|lease| lease.is_lost()).count(), 0);
        drop(held);
        tokio::time::timeout(LENGTH, leases.keeping_up()).await.expect("with less in hand it keeps up again");
    }
}
