//! Buses that record, refuse, are down, or never answer.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use messaging::{EntryError, MessageId, MockPublisher, OutgoingMessage, Publisher};
use schemas::Envelope;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Answer = dyn Fn(Uuid) -> Result<(), EntryError> + Send + Sync;

/// Delivers what its answer accepts, then waits for its gate, then tells the relay.
pub struct Bus {
    answer: Box<Answer>,
    delivered: MockPublisher,
    gate: CancellationToken,
    entered: Semaphore,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

impl Bus {
    /// Takes everything, at once.
    pub fn open() -> Arc<Self> {
        Self::answering(|_| Ok(()))
    }

    pub fn answering(answer: impl Fn(Uuid) -> Result<(), EntryError> + Send + Sync + 'static) -> Arc<Self> {
        let bus = Self::gated(answer);
        bus.open_gate();
        bus
    }

    /// Delivers, but answers only once [`Self::open_gate`] was called.
    pub fn gated(answer: impl Fn(Uuid) -> Result<(), EntryError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            delivered: MockPublisher::default(),
            gate: CancellationToken::new(),
            entered: Semaphore::new(0),
        })
    }

    pub fn open_gate(&self) {
        self.gate.cancel();
    }

    /// Waits until `calls` more requests have been delivered.
    pub async fn entered(&self, calls: u32) {
        let entered = tokio::time::timeout(fixtures::DEADLINE, self.entered.acquire_many(calls)).await;
        entered.expect("the relay publishes").unwrap().forget();
    }

    pub fn delivered(&self) -> Vec<(String, OutgoingMessage)> {
        self.delivered.recorded()
    }

    /// How often each event was delivered.
    pub fn times(&self) -> BTreeMap<Uuid, usize> {
        let mut times = BTreeMap::new();
        for (_, message) in self.delivered() {
            *times.entry(event_id_of(&message)).or_default() += 1;
        }
        times
    }
}

pub fn event_id_of(message: &OutgoingMessage) -> Uuid {
    let (_, key) = Envelope::read(&message.body).unwrap();
    key.as_uuid()
}

#[async_trait]
impl Publisher for Bus {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            results.push(match (self.answer)(event_id_of(message)) {
                Ok(()) => self.delivered.publish(event_type, std::slice::from_ref(message)).await.remove(0),
                Err(error) => Err(error),
            });
        }
        self.entered.add_permits(1);
        self.gate.cancelled().await;
        results
    }
}

/// Never answers for one topic; takes everything for the others.
#[derive(Debug)]
pub struct HangsFor(pub &'static str, pub MockPublisher);

#[async_trait]
impl Publisher for HangsFor {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        if event_type == self.0 {
            std::future::pending::<()>().await;
        }
        self.1.publish(event_type, messages).await
    }
}

/// A switch that a test and a bus share.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    pub fn turn_on(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
