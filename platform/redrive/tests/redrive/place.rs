//! A consumer's two queues and its database, of one test's own; and a queue that stops where a test says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fixtures::{TestBus, TestDatabase};
use messaging::{BusError, Counts, EntryError, MessageId, OutgoingMessage, Queue, RawMessage, Receipt, ReceiveRequest};
use redrive::{Approval, Filter, Inbox, Look, Places, Plan, Snapshot, Verb};
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct Place {
    pub places: Places,
    pub database: TestDatabase,
    pub inbox: Inbox,
    pub clock: Clock,
}

impl Place {
    pub async fn make(bus: &TestBus) -> Self {
        let consumer = user_service::declared();
        let messaging::Subscriber { consumer: name, events, settings } = consumer.subscriber();
        let events: Vec<_> = events.into_iter().collect();
        let (queue, dead_letters) = bus.subscribe(&name, &events, settings).await;
        let database = fixtures::user_database().await;
        let clock = Clock::system();
        worker::maintain_inbox(&database.pool, clock.now()).await.unwrap();
        let inbox = Inbox::of(consumer, database.pool.clone(), clock.clone()).await.unwrap();
        Self { places: Places { dead_letters, queue }, database, inbox, clock }
    }

    pub async fn bury(&self, letters: usize) -> Vec<Letter> {
        let letters: Vec<_> = (0..letters).map(|_| letter()).collect();
        let messages: Vec<_> = letters.iter().map(|letter| letter.message.clone()).collect();
        for sent in self.places.dead_letters.send(&messages).await {
            sent.unwrap();
        }
        letters
    }

    pub async fn snapshot(&self) -> Snapshot {
        let queue = self.places.dead_letters.clone();
        Snapshot::take(queue, Look::default(), &CancellationToken::new(), |_, _| {}).await.unwrap()
    }

    pub async fn plan(&self, snapshot: &Snapshot, verb: Verb) -> Plan {
        let queue = self.places.dead_letters.name();
        Plan::make(snapshot, queue, &self.inbox, verb, Filter::default(), false, self.clock.now()).await.unwrap()
    }

    /// How often each event is in the consumer's queue, taking them out.
    pub async fn sent(&self) -> BTreeMap<String, usize> {
        let mut sent = BTreeMap::new();
        let request = ReceiveRequest { max: 10, wait: Duration::from_secs(1), visibility: Duration::from_secs(60) };
        loop {
            let received = self.places.queue.receive(request).await.unwrap();
            if received.is_empty() {
                return sent;
            }
            for message in received {
                let (envelope, _) = Envelope::read(&message.body).unwrap();
                *sent.entry(envelope.id).or_default() += 1;
            }
        }
    }
}

pub fn approval() -> Approval {
    Approval::given(true, "a test", Some("to see what happens")).unwrap().unwrap()
}

pub struct Letter {
    pub id: String,
    pub user: Uuid,
    pub message: OutgoingMessage,
}

pub fn letter() -> Letter {
    let now = Clock::system().now();
    let event = UserCreatedV1 {
        user_id: schemas::event_id(now),
        email: "ada@example.com".to_owned().try_into().unwrap(),
        timestamp: now,
        source: "auth-service".to_owned(),
    };
    let id = schemas::event_id(now);
    let header =
        Header { id, source: "auth-service", time: now, sequence: Sequence::after(None, now), traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    let message = OutgoingMessage { body, ..OutgoingMessage::default() };
    Letter { id: id.to_string(), user: event.user_id, message }
}

/// Where a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KilledAt {
    BeforeSend,
    AfterSend,
    BeforeDelete,
    AfterDelete,
}

/// A queue that never answers at one moment, and tells when it has come.
#[derive(Debug)]
pub struct Stopping {
    pub queue: Arc<dyn Queue>,
    pub at: KilledAt,
    pub reached: Arc<Notify>,
    pub seen: Mutex<Vec<KilledAt>>,
}

impl Stopping {
    async fn pass(&self, moment: KilledAt) {
        self.seen.lock().unwrap().push(moment);
        if moment == self.at {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Queue for Stopping {
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
        self.queue.receive_until(request, stop).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        self.pass(KilledAt::BeforeDelete).await;
        let deleted = self.queue.delete(receipts).await;
        self.pass(KilledAt::AfterDelete).await;
        deleted
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        self.queue.change_visibility(changes).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        if messages.is_empty() {
            return Vec::new();
        }
        self.pass(KilledAt::BeforeSend).await;
        let sent = self.queue.send(messages).await;
        self.pass(KilledAt::AfterSend).await;
        sent
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        self.queue.counts().await
    }
}
