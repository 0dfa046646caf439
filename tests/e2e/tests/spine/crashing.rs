//! A message that kills its process: what no handler can catch.

use std::{process::Stdio, sync::Arc, time::Duration};

use fixtures::{TestBus, TestDatabase, eventually, on_both_buses};
use messaging::{OutgoingMessage, Queue, QueueSettings, ReceiveRequest};
use schemas::{Clock, Envelope, Event, Header, Sequence, UserCreatedV1};
use tokio::process::{Child, Command};
use worker::FAILURE_ATTRIBUTE;

struct Fragile {
    bus: TestBus,
    database: TestDatabase,
    queue: Arc<dyn Queue>,
    dead_letters: Arc<dyn Queue>,
}

async fn fragile(bus: TestBus, max_receive_count: u32) -> Fragile {
    let database = fixtures::user_database().await;
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    let (queue, dead_letters) = bus.subscribe("fragile", &[UserCreatedV1::TYPE], settings).await;
    Fragile { bus, database, queue, dead_letters }
}

fn event(name: &str) -> OutgoingMessage {
    let now = Clock::system().now();
    let event = UserCreatedV1 {
        user_id: schemas::event_id(now),
        email: format!("{name}@example.com").try_into().unwrap(),
        timestamp: now,
        source: "tests".to_owned(),
    };
    let sequence = Sequence::after(None, now);
    let header = Header { id: schemas::event_id(now), source: "tests", time: now, sequence, traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    OutgoingMessage { body, ..OutgoingMessage::default() }
}

impl Fragile {
    async fn send(&self, messages: &[OutgoingMessage]) {
        for result in self.queue.send(messages).await {
            result.unwrap();
        }
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_fragile-worker"))
            .env("USER_DATABASE_URL", &self.database.url)
            .envs(self.bus.environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Keeps one process running, a new one for each that dies, until `done`. Answers how many died.
    async fn supervise(&self, what: &str, mut done: impl AsyncFnMut() -> bool) -> u32 {
        let mut child = self.start();
        let mut died = 0;
        eventually(what, async || {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(!status.success(), "the process ended of its own accord");
                died += 1;
                child = self.start();
            }
            done().await.then_some(())
        })
        .await;
        child.kill().await.unwrap();
        died
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool).await.unwrap()
    }
}

on_both_buses!(
    a_message_that_kills_its_process_takes_no_neighbour_along,
    a_message_that_only_ever_kills_ends_in_the_dead_letter_queue_and_has_no_report,
);

async fn a_message_that_kills_its_process_takes_no_neighbour_along(bus: TestBus) {
    let world = fragile(bus, QueueSettings::DEFAULT.max_receive_count).await;
    let mut messages: Vec<_> = (0..20).map(|n| event(&format!("neighbour{n}"))).collect();
    messages.insert(4, event("killer"));
    world.send(&messages).await;
    let died = world
        .supervise("every neighbour is applied", async || world.count("SELECT count(*) FROM user_profiles").await == 20)
        .await;
    assert!(died >= 2, "the killer shared its first transactions with its neighbours, and {died} processes died");
    let dead = world.dead_letters.counts().await.unwrap();
    assert!(dead.visible + dead.in_flight <= 1, "{dead:?}");
}

async fn a_message_that_only_ever_kills_ends_in_the_dead_letter_queue_and_has_no_report(bus: TestBus) {
    let world = fragile(bus, 4).await;
    let killer = event("killer");
    world.send(std::slice::from_ref(&killer)).await;
    let died = world
        .supervise("the killer is dead-lettered", async || world.dead_letters.counts().await.unwrap().visible == 1)
        .await;
    assert_eq!(died, 4);
    let request = ReceiveRequest { max: 1, wait: Duration::from_secs(1), visibility: Duration::from_secs(60) };
    let dead = world.dead_letters.receive(request).await.unwrap().remove(0);
    assert_eq!(dead.body, killer.body);
    assert!(!dead.attributes.contains_key(FAILURE_ATTRIBUTE));
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 0);
}
