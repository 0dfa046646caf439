//! Handlers tried on a database, with no bus: what a consumer's own tests call.
//!
//! [`Harness`] is the worker from the message to the settlement: it reads, claims, calls, bisects, records and decides as a
//! worker does, on a real database. What is missing is the queue, so time passes for nobody: what would come back after a
//! delay comes back when the test delivers it again.
//!
//! ```
//! # use schemas::{Event, event, newest};
//! # use serde::{Deserialize, Serialize};
//! # use sqlx::PgConnection;
//! # use worker::{Consumer, HandlerError, Outcome, Received, Verdict, testing::Harness};
//! # #[derive(Serialize, Deserialize, schemars::JsonSchema)]
//! # struct GuestArrived { name: String }
//! # event!("guest.arrived", 1, GuestArrived, name);
//! # newest!(GuestArrived);
//! async fn count_guest(tx: &mut PgConnection, _: &Received<'_, GuestArrived>) -> Result<Verdict, HandlerError> {
//!     sqlx::query("UPDATE house SET guests = guests + 1").execute(tx).await?;
//!     Ok(Verdict::Applied)
//! }
//!
//! # async fn test(pool: sqlx::PgPool) {
//! let house = Consumer::named("house").apply_each("count_guest", &["/name"], count_guest).build();
//! let harness = Harness::new(house, pool).await.unwrap();
//! let arrival = harness.envelope(&GuestArrived { name: "Ada".to_owned() });
//! assert_eq!(harness.deliver(&[arrival.clone()]).await, [Outcome::Applied]);
//! assert_eq!(harness.deliver(&[arrival]).await, [Outcome::Duplicate]);
//! # }
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use messaging::{BusError, Counts, EntryError, MessageId, OutgoingMessage, Queue, RawMessage, Receipt, ReceiveRequest};
use schemas::{Clock, Envelope, Event, Header, Sequence};
use sqlx::PgPool;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Consumer, Worker, WorkerSettings,
    dispatch::work::Work,
    inbox::window::{EVENT_LOGS, Window},
    message::{
        decode::Delivery,
        lease::{Held, Leases},
        settle::Settler,
        settlement::{Observed, Outcome},
    },
};

/// A consumer on a database of the test's own.
pub struct Harness {
    work: Arc<Work>,
    leases: Arc<Leases>,
    clock: Clock,
    observed: AsyncMutex<mpsc::UnboundedReceiver<Observed>>,
    /// How often each message was delivered.
    receives: Mutex<HashMap<String, u32>>,
    sequence: AtomicI64,
    acknowledging: JoinHandle<()>,
}

/// What the events of [`Harness::envelope`] say of their source.
pub const SOURCE: &str = "tests";

impl Harness {
    /// On a database that has the tables of the service and of the inbox. Makes the inbox's weeks.
    pub async fn new(consumer: Consumer, pool: PgPool) -> Result<Self, partitions::PartitionError> {
        Self::with(consumer, pool, WorkerSettings::new("harness", "0.0.0"), Clock::system()).await
    }

    /// With settings and a clock of the test's own: how many attempts an event has, how long a handler may take.
    pub async fn with(
        consumer: Consumer,
        pool: PgPool,
        settings: WorkerSettings,
        clock: Clock,
    ) -> Result<Self, partitions::PartitionError> {
        let now = clock.now();
        let window = Window::from(now - EVENT_LOGS.keep);
        window.maintain(&pool, now).await?;
        let queue: Arc<dyn Queue> = Arc::new(NoQueue(consumer.name()));
        let lease = settings.lease;
        let mut worker = Worker::new(consumer, queue.clone(), queue.clone(), pool, settings, clock.clone());
        let leases = Leases::new(queue.clone(), lease, worker.status());
        let (settler, acknowledging) = Settler::new(queue, leases.clone());
        let (told, observed) = mpsc::unbounded_channel();
        worker.observer = Some(told);
        let never = CancellationToken::new();
        Ok(Self {
            work: worker.work(settler, &window, &never, &never, TaskTracker::new()),
            leases,
            sequence: AtomicI64::new((now.unix_timestamp_nanos() / 1_000) as i64),
            clock,
            observed: AsyncMutex::new(observed),
            receives: Mutex::default(),
            acknowledging: tokio::spawn(acknowledging),
        })
    }

    /// An event as a producer sends it: with a new id, and newer than those before.
    pub fn envelope<E: Event>(&self, event: &E) -> Envelope {
        let (now, sequence) = (self.clock.now(), self.sequence.fetch_add(1, Ordering::Relaxed));
        let sequence = Sequence::from_stored(sequence);
        let header = Header { id: schemas::event_id(now), source: SOURCE, time: now, sequence, traceparent: None };
        Envelope::new(event, header).expect("a payload that serialises")
    }

    /// Delivers events together, as one poll does, and answers what became of each, at its position.
    pub async fn deliver(&self, envelopes: &[Envelope]) -> Vec<Outcome> {
        let bodies = envelopes.iter().map(|envelope| serde_json::to_string(envelope).expect("an envelope serialises"));
        self.deliver_bodies(bodies.collect()).await
    }

    /// Delivers messages as they are, broken ones too.
    pub async fn deliver_bodies(&self, bodies: Vec<String>) -> Vec<Outcome> {
        let mut observed = self.observed.lock().await;
        let count = bodies.len();
        let mut batches: BTreeMap<usize, Vec<Delivery>> = BTreeMap::new();
        for (position, body) in bodies.into_iter().enumerate() {
            match self.work.read(self.hold(position, body)) {
                Ok((line, delivery)) => batches.entry(line).or_default().push(delivery),
                Err(unreadable) => self.work.reject(*unreadable).await,
            }
        }
        for (line, batch) in batches {
            self.work.process(&self.work.lines[line], batch).await;
        }
        let mut outcomes = BTreeMap::new();
        while let Ok(Observed { message, outcome }) = observed.try_recv() {
            outcomes.insert(message.0.parse::<usize>().expect("a position"), outcome);
        }
        assert_eq!(outcomes.len(), count, "every message is settled");
        outcomes.into_values().collect()
    }

    fn hold(&self, position: usize, body: String) -> Held {
        let receive_count = {
            let mut receives = self.receives.lock().unwrap_or_else(PoisonError::into_inner);
            *receives.entry(body.clone()).and_modify(|count| *count += 1).or_insert(1)
        };
        let message = RawMessage {
            id: MessageId(position.to_string()),
            receipt: Receipt(position.to_string()),
            body,
            attributes: BTreeMap::new(),
            receive_count,
            sent_at: Some(self.clock.now()),
        };
        // Nobody extends these leases, so they must not run out.
        let lease = self.leases.begin(&message, Instant::now());
        let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a semaphore of its own");
        Held { message, lease, _credit: [permit(), permit()] }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.acknowledging.abort();
    }
}

/// In the place of a queue and its dead-letter queue: takes everything, and has nothing.
#[derive(Debug)]
struct NoQueue(&'static str);

#[async_trait]
impl Queue for NoQueue {
    fn name(&self) -> &str {
        self.0
    }

    fn system(&self) -> &'static str {
        "none"
    }

    async fn receive_until(&self, _: ReceiveRequest, stop: &CancellationToken) -> Result<Vec<RawMessage>, BusError> {
        stop.cancelled().await;
        Ok(Vec::new())
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        vec![Ok(()); receipts.len()]
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        vec![Ok(()); changes.len()]
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        messages.iter().map(|_| Ok(MessageId("dead".to_owned()))).collect()
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        Ok(Counts { visible: 0, in_flight: 0 })
    }
}
