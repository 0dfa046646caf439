//! A shop and a warehouse in one process, each on a database of its own, with a bus between them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fixtures::{DEADLINE, TestBus, TestDatabase, eventually};
use messaging::{OutgoingMessage, Queue, RawMessage, ReceiveRequest, Topology};
use outbox::{OUTBOX, Relay, RelaySettings, Wake};
use schemas::{Clock, Envelope, Event, Header, Sequence, event_id};
use sqlx::Executor;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tutorial::{Order, Orders, SENDS, SHOP, consumer};
use uuid::Uuid;
use worker::{FAILURE_ATTRIBUTE, FailureReport, Worker, WorkerSettings};

const SHOP_TABLES: [&str; 3] = [
    include_str!("../../../../migrations/auth_db/20261122100100_outbox.sql"),
    include_str!("../../../../migrations/auth_db/20261125203000_outbox_not_before.sql"),
    include_str!("../../sql/orders.sql"),
];
const WAREHOUSE_TABLES: [&str; 3] = [
    include_str!("../../../../migrations/user_db/20261122100100_event_logs.sql"),
    include_str!("../../../../migrations/user_db/20261125200000_workers.sql"),
    include_str!("../../sql/deliveries.sql"),
];

pub struct World {
    pub orders: Orders,
    pub shop: TestDatabase,
    pub warehouse: TestDatabase,
    pub queue: Arc<dyn Queue>,
    dead_letters: Arc<dyn Queue>,
    stop: CancellationToken,
    relay: JoinHandle<()>,
    worker: JoinHandle<Result<(), worker::WorkerError>>,
}

async fn database(server: &str, tables: impl IntoIterator<Item = &'static str>) -> TestDatabase {
    let database = TestDatabase::empty(server).await;
    for sql in tables {
        database.pool.execute(sql).await.unwrap();
    }
    database
}

impl World {
    pub async fn start(bus: TestBus) -> Self {
        let shop = database("AUTH_DATABASE_URL", SHOP_TABLES).await;
        let warehouse = database("USER_DATABASE_URL", WAREHOUSE_TABLES).await;
        let (soft, clock) = (CancellationToken::new(), Clock::system());

        // What has to be on the bus follows from who sends and who listens.
        let published = SENDS.iter().copied().collect();
        let topology = Topology { subscribers: vec![consumer().subscriber()], published };
        bus.bus.apply(&topology).await.unwrap();
        let queue = bus.queue("warehouse").await;
        let dead_letters = bus.queue("warehouse-dlq").await;

        // The shop: an outbox has no week before somebody makes it; then a relay publishes what is in it.
        partitions::maintain(&shop.pool, OUTBOX, clock.now()).await.unwrap();
        let wake = Wake::new();
        let relay = Relay::new(shop.pool.clone(), bus.bus.publisher(), RelaySettings::default(), clock.clone());
        let relay = tokio::spawn(relay.run(wake.clone(), soft.clone()));
        let orders = Orders::new(shop.pool.clone(), wake, clock.clone());

        // The warehouse: any number of these may run.
        let settings = WorkerSettings { wait: Duration::from_secs(1), ..WorkerSettings::new("warehouse-1", "0.1.0") };
        let (queue_read, pool) = (queue.clone(), warehouse.pool.clone());
        let worker = Worker::new(consumer(), queue_read, dead_letters.clone(), pool, settings, clock);
        let worker = tokio::spawn(worker.run(soft.clone(), CancellationToken::new()));

        Self { orders, shop, warehouse, queue, dead_letters, stop: soft, relay, worker }
    }

    /// What the warehouse has to deliver, by order: to whom, and whether by express.
    pub async fn deliveries(&self) -> BTreeMap<Uuid, (String, bool)> {
        let rows: Vec<(Uuid, String, bool)> = sqlx::query_as("SELECT order_id, name, express FROM deliveries")
            .fetch_all(&self.warehouse.pool)
            .await
            .unwrap();
        rows.into_iter().map(|(order, name, express)| (order, (name, express))).collect()
    }

    pub async fn until_delivered_to(&self, order: Uuid, name: &str) -> bool {
        let (_, express) =
            eventually("a delivery", async || self.deliveries().await.remove(&order).filter(|(to, _)| to == name))
                .await;
        express
    }

    pub async fn until_applied(&self, events: i64) {
        eventually("events in event_logs", async || {
            (self.count("SELECT count(*) FROM event_logs").await == events).then_some(())
        })
        .await;
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.warehouse.pool).await.unwrap()
    }

    /// Puts messages on the queue as the bus would.
    pub async fn deliver(&self, bodies: &[String]) {
        let message = |body: &String| OutgoingMessage { body: body.clone(), attributes: BTreeMap::new() };
        let messages: Vec<_> = bodies.iter().map(message).collect();
        for sent in self.queue.send(&messages).await {
            sent.unwrap();
        }
    }

    /// The first dead letter, with the reason that travels with it.
    pub async fn until_dead_letter(&self) -> (RawMessage, FailureReport) {
        let message = eventually("a dead letter", async || {
            let request = ReceiveRequest { max: 1, wait: Duration::ZERO, visibility: Duration::from_secs(600) };
            self.dead_letters.receive(request).await.unwrap().pop()
        })
        .await;
        let report = serde_json::from_str(&message.attributes[FAILURE_ATTRIBUTE]).unwrap();
        (message, report)
    }

    /// Finishes what is in hand, as a process does on SIGTERM.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.relay).await.expect("the relay stops").unwrap();
        tokio::time::timeout(DEADLINE, self.worker).await.expect("the worker stops").unwrap().unwrap();
    }
}

pub fn order(name: &str) -> Order {
    Order {
        id: event_id(Clock::system().now()),
        article: "tea-100".parse().unwrap(),
        delivery_name: name.parse().unwrap(),
        express: false,
        announce_to: None,
    }
}

/// A message as the relay publishes it.
pub fn message<E: Event>(event: &E, sequence: i64) -> String {
    let now = Clock::system().now();
    let sequence = Sequence::from_stored(sequence);
    let header = Header { id: event_id(now), source: SHOP, time: now, sequence, traceparent: None };
    serde_json::to_string(&Envelope::new(event, header).unwrap()).unwrap()
}
