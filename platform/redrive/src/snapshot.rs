//! A look at a queue: every message of it once, under a lease.
//!
//! Reading is receiving. It hides messages from everybody else for as long as the lease lasts, and it counts as a receive.
//! So nothing is read twice; leases are extended while somebody looks, and handed back afterwards. A process that is
//! killed leaves its messages hidden until the lease ends, and loses none.
//!
//! In memory is what [`Held`] has of each message; the messages themselves are on disk.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use messaging::{BusError, Counts, EntryError, MAX_BATCH_ENTRIES, Queue, RawMessage, Receipt, ReceiveRequest};
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use worker::LastFailure;

use crate::{DeadLetter, held::Held};

/// How to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// How long messages stay hidden after a process that was killed while it looked. In whole seconds.
    pub lease: Duration,
    /// No more messages than this.
    pub most: usize,
}

impl Default for Look {
    fn default() -> Self {
        // The most that SQS hands out before it stops answering.
        Self { lease: Duration::from_secs(120), most: 120_000 }
    }
}

/// How much of the queue a snapshot has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saw {
    /// Messages, copies included.
    pub messages: usize,
    pub letters: usize,
    /// That the queue counted when the look began, roughly.
    pub visible: u64,
    /// Hidden then, because somebody else held them.
    pub held_by_others: u64,
    /// Whether that was all: nothing hidden, nothing left.
    pub complete: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("could not read the dead-letter queue")]
    Bus(#[from] BusError),
    #[error("could not keep what was read on disk")]
    Disk(#[from] io::Error),
    #[error("could not read event_failures")]
    Database(#[from] sqlx::Error),
}

/// What was read of a queue. Hand it back with [`Snapshot::hand_back`].
#[derive(Debug)]
pub struct Snapshot {
    queue: Arc<dyn Queue>,
    held: Arc<Mutex<Held>>,
    lease: Duration,
    counts: Counts,
    ran_dry: bool,
    /// Held by who changes visibilities: an extension that is on its way would hide again what is handed back.
    turn: Arc<tokio::sync::Mutex<()>>,
    _extending: DropGuard,
}

/// Long enough that SQS asks all of its servers (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const WAIT: Duration = Duration::from_secs(1);
const POLLERS: usize = 8;
/// As many messages are worth another poller.
const A_POLLER_FOR: u64 = 100;
/// After so many in vain, polls are long; after as many of those there is nothing.
const SHORT_POLLS: u32 = 2;
const SETTLING: usize = 8;

impl Snapshot {
    /// Reads `queue` until it is empty, until `look` says that it is enough, or until `stop`; what was read until then is
    /// held all the same. `progress` is told how many messages there are by now, and how many there may be.
    pub async fn take(
        queue: Arc<dyn Queue>,
        look: Look,
        stop: &CancellationToken,
        progress: impl Fn(usize, u64) + Send + Sync,
    ) -> Result<Self, SnapshotError> {
        let counts = queue.counts().await?;
        let held = Arc::new(Mutex::new(Held::new()?));
        let (turn, extending) = (Arc::default(), CancellationToken::new());
        tokio::spawn(extend(queue.clone(), held.clone(), Arc::clone(&turn), look.lease, extending.clone()));
        let lease = look.lease;
        let mut snapshot =
            Self { queue, held, lease, counts, ran_dry: false, turn, _extending: extending.drop_guard() };
        match snapshot.fill(look.most, stop, progress).await {
            Ok(ran_dry) => {
                snapshot.ran_dry = ran_dry;
                snapshot.locked().known = HashMap::new();
                Ok(snapshot)
            }
            Err(error) => {
                snapshot.hand_back().await;
                Err(error)
            }
        }
    }

    /// Whether the queue had nothing left to give.
    async fn fill(
        &self,
        most: usize,
        stop: &CancellationToken,
        progress: impl Fn(usize, u64) + Send + Sync,
    ) -> Result<bool, SnapshotError> {
        let pollers = (self.counts.visible / A_POLLER_FOR + 1).min(POLLERS as u64) as usize;
        let expected = usize::try_from(self.counts.visible).unwrap_or(usize::MAX);
        let poll = |empty: u32, max: usize| async move {
            let seen = self.locked().messages.len();
            // A short poll doesn't wait for what others have in hand. Where there should be more and two find nothing, SQS
            // may have asked too few of its servers.
            let wait = if empty >= SHORT_POLLS && seen < expected { WAIT } else { Duration::ZERO };
            let request = ReceiveRequest { max, wait, visibility: self.lease };
            let asked = Instant::now();
            let received = self.queue.receive(request).await;
            self.locked().asked_for -= max;
            let new = self.keep(received?, asked + self.lease)?;
            Ok::<_, SnapshotError>((new, wait))
        };
        let poller = || async {
            let mut empty = 0;
            loop {
                let max = self.locked().ask_for(most);
                if stop.is_cancelled() || max == 0 {
                    return Ok(false);
                }
                let (new, waited) = poll(empty, max).await?;
                if new > 0 {
                    empty = 0;
                    progress(self.locked().messages.len(), self.counts.visible);
                    continue;
                }
                empty += 1;
                let seen = self.locked().messages.len();
                if seen >= expected && waited.is_zero() || empty >= 2 * SHORT_POLLS {
                    return Ok::<_, SnapshotError>(true);
                }
            }
        };
        let ended = futures_util::future::join_all((0..pollers).map(|_| poller())).await;
        let dry = ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(dry.into_iter().all(|dry| dry))
    }

    fn locked(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, received: Vec<RawMessage>, until: Instant) -> io::Result<usize> {
        let mut held = self.locked();
        let new = received.len();
        for message in received {
            held.keep(message, until)?;
        }
        Ok(new)
    }

    pub fn saw(&self) -> Saw {
        let held = self.locked();
        let Counts { visible, in_flight } = self.counts;
        Saw {
            messages: held.messages.len(),
            letters: held.letters.len(),
            visible,
            held_by_others: in_flight,
            complete: self.ran_dry && in_flight == 0,
        }
    }

    /// How many letters there are: they are numbered from zero.
    pub fn letters(&self) -> usize {
        self.locked().letters.len()
    }

    /// These letters, with what the database knows of those that say nothing themselves.
    pub async fn read(&self, letters: &[u32], pool: &PgPool) -> Result<Vec<DeadLetter>, SnapshotError> {
        let mut read: Vec<_> = {
            let held = self.locked();
            letters.iter().map(|letter| held.copies(*letter).map(DeadLetter::read)).collect::<io::Result<_>>()?
        };
        let silent = read.iter().filter(|letter| letter.report.is_none());
        let keys: Vec<_> = silent.filter_map(DeadLetter::event_key).collect();
        if !keys.is_empty() {
            let failures = worker::last_failures(pool, &keys).await?;
            let mut failures: HashMap<Uuid, LastFailure> = failures.into_iter().map(|f| (f.event_key, f)).collect();
            for letter in read.iter_mut().filter(|letter| letter.report.is_none()) {
                letter.recorded = letter.event_key().and_then(|key| failures.remove(&key.as_uuid()));
            }
        }
        Ok(read)
    }

    /// Deletes messages of this snapshot for good, and says what could not be.
    pub(crate) async fn delete(&self, letters: &[u32]) -> Result<Vec<Result<(), EntryError>>, io::Error> {
        let (messages, receipts) = self.receipts_of(letters)?;
        let mut results = vec![Ok(()); letters.len()];
        let chunks: Vec<Vec<Receipt>> = receipts.chunks(self.queue.settles_at_once()).map(<[_]>::to_vec).collect();
        let deleted: Vec<_> = stream::iter(chunks)
            .map(|chunk| async move { self.queue.delete(&chunk).await })
            .buffered(SETTLING)
            .collect()
            .await;
        let mut held = self.locked();
        for ((at, message), result) in messages.into_iter().zip(deleted.into_iter().flatten()) {
            match result {
                Ok(()) => held.messages[message as usize].until = None,
                Err(error) => results[at] = Err(error),
            }
        }
        Ok(results)
    }

    /// Position among `letters` and message, with the message's receipt beside it.
    #[expect(clippy::type_complexity, reason = "two lists of one length")]
    fn receipts_of(&self, letters: &[u32]) -> io::Result<(Vec<(usize, u32)>, Vec<Receipt>)> {
        let held = self.locked();
        let mut messages = Vec::new();
        let mut receipts = Vec::new();
        for (at, letter) in letters.iter().enumerate() {
            for message in held.chain(*letter) {
                receipts.push(held.spool.receipt(held.messages[message as usize].place)?);
                messages.push((at, message));
            }
        }
        Ok((messages, receipts))
    }

    /// Makes everything visible again that is still held. Idempotent. What can't be handed back shows itself when its lease
    /// ends; answers how many messages that are.
    pub async fn hand_back(&self) -> usize {
        self.hand_back_others(&[]).await
    }

    /// Hands back everything but these letters: what is not acted on is not kept from others for as long as that takes.
    pub(crate) async fn hand_back_others(&self, kept: &[u32]) -> usize {
        let _turn = self.turn.lock().await;
        let kept: HashSet<u32> = {
            let held = self.locked();
            kept.iter().flat_map(|letter| held.chain(*letter)).collect()
        };
        let mut left = 0;
        loop {
            let batch = self.locked().due(far(), 100 * MAX_BATCH_ENTRIES, &kept);
            let Ok(batch) = batch else { return left };
            if batch.is_empty() {
                return left;
            }
            let answers = change_all(&*self.queue, &batch, Duration::ZERO).await;
            left += answers.iter().filter(|answer| matches!(answer, Err(EntryError::Unavailable { .. }))).count();
            let mut held = self.locked();
            for (message, _) in batch {
                held.messages[message as usize].until = None;
            }
        }
    }
}

/// Keeps everything hidden that is held, from half of a lease on.
async fn extend(
    queue: Arc<dyn Queue>,
    held: Arc<Mutex<Held>>,
    turn: Arc<tokio::sync::Mutex<()>>,
    lease: Duration,
    stop: CancellationToken,
) {
    let nobody = HashSet::new();
    let mut tick = tokio::time::interval((lease / 6).max(Duration::from_millis(100)));
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        loop {
            let _turn = turn.lock().await;
            let due = {
                let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.due(Instant::now() + lease / 2, SETTLING * MAX_BATCH_ENTRIES, &nobody)
            };
            let due = match due {
                Ok(due) if due.is_empty() => break,
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "could not read receipts: leases run out");
                    return;
                }
            };
            if stop.is_cancelled() {
                return;
            }
            let asked = Instant::now();
            let answers = change_all(&*queue, &due, lease).await;
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            for ((message, _), answer) in due.iter().zip(answers) {
                let message = &mut held.messages[*message as usize];
                match answer {
                    Ok(()) if message.until.is_some() => message.until = Some(asked + lease),
                    Ok(()) => {}
                    // Somebody else has it by now, or it is gone.
                    Err(EntryError::Gone { .. } | EntryError::Refused { .. }) => message.until = None,
                    // Looked at again with the next tick, for as long as there is a lease.
                    Err(EntryError::Unavailable { .. }) => {
                        message.until = message.until.map(|until| until.max(asked + lease / 2 + lease / 6));
                    }
                }
            }
        }
    }
}

/// Later than any lease: SQS hides nothing for more than twelve hours.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(24 * 60 * 60)
}

async fn change_all(
    queue: &dyn Queue,
    messages: &[(u32, Receipt)],
    visibility: Duration,
) -> Vec<Result<(), EntryError>> {
    let chunks = messages.chunks(queue.settles_at_once()).map(|chunk| {
        let changes: Vec<_> = chunk.iter().map(|(_, receipt)| (receipt.clone(), visibility)).collect();
        async move { queue.change_visibility(&changes).await }
    });
    let chunks: Vec<_> = chunks.collect();
    stream::iter(chunks).buffered(SETTLING).concat().await
}
