//! A queue, a database and a worker of one test's own, with a handler whose behaviour the test sets.
//!
//! The handler counts: `effects(note, times)` gets one more for every application that commits, so an event that is
//! applied twice shows there whatever `event_logs` says.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fixtures::{TestDatabase, eventually, until_empty};
use messaging::{OutgoingMessage, Queue, QueueSettings, RawMessage, ReceiveRequest, RetryDelay};
use schemas::{Clock, Envelope, Event, EventType, Header, Newest, PayloadError, Sequence};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{
    ApplyEvents, Consumer, FAILURE_ATTRIBUTE, FailureReport, HandlerError, Received, Status, Verdict, Worker,
    WorkerError, WorkerSettings,
};

#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoteTakenV1 {
    pub note: String,
}

impl Event for NoteTakenV1 {
    const TYPE: EventType = EventType::new("note.taken");
    const VERSION: u32 = 1;

    fn subject(&self) -> String {
        self.note.clone()
    }
}

/// Panics where the payload is no note, as an upcaster with a mistake in it would.
impl Newest for NoteTakenV1 {
    fn read(version: u32, data: &RawValue) -> Result<Self, PayloadError> {
        match version {
            1 => Ok(serde_json::from_str(data.get()).unwrap()),
            _ => Err(PayloadError::UnknownVersion { event_type: "note.taken", version, known: "1".to_owned() }),
        }
    }
}

type Script = dyn Fn(&str) -> Option<HandlerError> + Send + Sync;

/// Counts notes; fails as its script says, after it has written.
#[derive(Clone)]
pub struct CountNotes {
    pub script: Arc<Script>,
    pub verdict: Arc<dyn Fn(&str) -> Verdict + Send + Sync>,
    pub calls: Arc<AtomicUsize>,
    /// Whether what the handler needs beside its database is there, and how often that was asked.
    pub is_up: Arc<dyn Fn() -> bool + Send + Sync>,
    pub probes: Arc<AtomicUsize>,
    /// Whether the handler ignores an error of the database, and goes on.
    pub swallows: bool,
    /// The note whose statement would take ten minutes.
    pub stuck_on: Option<&'static str>,
    /// Where the handler waits before it returns, if the test says so.
    pub gate: Option<Arc<Gate>>,
}

#[derive(Default)]
pub struct Gate {
    pub entered: Notify,
    pub open: Notify,
    open_for_good: AtomicBool,
}

impl Gate {
    /// From now on nobody waits.
    pub fn open_for_good(&self) {
        self.open_for_good.store(true, Ordering::SeqCst);
    }

    /// Waits with a busy transaction: an idle one would run into its timeout.
    async fn pass(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        while !self.open_for_good.load(Ordering::SeqCst)
            && tokio::time::timeout(Duration::from_millis(100), self.open.notified()).await.is_err()
        {
            sqlx::query("SELECT 1").execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl Default for CountNotes {
    fn default() -> Self {
        Self {
            script: Arc::new(|_| None),
            verdict: Arc::new(|_| Verdict::Applied),
            calls: Arc::default(),
            is_up: Arc::new(|| true),
            probes: Arc::default(),
            swallows: false,
            stuck_on: None,
            gate: None,
        }
    }
}

impl CountNotes {
    pub fn failing(script: impl Fn(&str) -> Option<HandlerError> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), ..Self::default() }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ApplyEvents for CountNotes {
    type Event = NoteTakenV1;

    const NAME: &'static str = "count_notes";
    const READS: &'static [&'static str] = &["/note"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, NoteTakenV1>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let verdicts: Vec<_> = events.iter().map(|received| (self.verdict)(&received.event.note)).collect();
        let applied = events.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Applied));
        let notes: Vec<_> = applied.map(|(received, _)| received.event.note.clone()).collect();
        sqlx::query(
            "INSERT INTO effects (note, times) SELECT note, 1 FROM unnest($1::text[]) AS n (note)
             ON CONFLICT (note) DO UPDATE SET times = effects.times + 1",
        )
        .bind(&notes)
        .execute(&mut *connection)
        .await?;
        if self.swallows {
            let _ = sqlx::query("SELECT 1 / 0").execute(&mut *connection).await;
        }
        if notes.iter().any(|note| Some(note.as_str()) == self.stuck_on) {
            sqlx::query("SELECT pg_sleep(600)").execute(&mut *connection).await?;
        }
        if let Some(gate) = &self.gate {
            gate.entered.notify_one();
            gate.pass(connection).await?;
        }
        match events.iter().find_map(|received| (self.script)(&received.event.note)) {
            Some(error) => Err(error),
            None => Ok(verdicts),
        }
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        if (self.is_up)() { Ok(()) } else { Err("still down".into()) }
    }
}

pub struct World {
    pub database: TestDatabase,
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
}

/// A worker at work. Stop it with [`Running::stop`].
pub struct Running {
    pub soft: CancellationToken,
    pub hard: CancellationToken,
    pub status: Status,
    task: JoinHandle<Result<(), WorkerError>>,
}

pub async fn world() -> World {
    world_with(QueueSettings::DEFAULT).await
}

pub async fn world_with(settings: QueueSettings) -> World {
    let (bus, database) = tokio::join!(fixtures::bus(), fixtures::user_database());
    let (queue, dead_letters) = bus.subscribe("notes", &[NoteTakenV1::TYPE], settings).await;
    sqlx::query("CREATE TABLE effects (note text PRIMARY KEY, times int NOT NULL)")
        .execute(&database.pool)
        .await
        .unwrap();
    World { database, queue, dead_letters }
}

/// Everything short, so that tests are.
pub fn settings() -> WorkerSettings {
    WorkerSettings {
        lease: Duration::from_secs(6),
        wait: Duration::from_secs(1),
        retry: RetryDelay::new(Duration::from_millis(10), Duration::from_millis(50)),
        probe: RetryDelay::new(Duration::from_millis(50), Duration::from_millis(200)),
        ..WorkerSettings::new("test-worker", "0.0.0-test")
    }
}

impl World {
    pub fn start(&self, handler: &CountNotes) -> Running {
        self.start_with(handler, settings(), Clock::system())
    }

    pub fn start_with(&self, handler: &CountNotes, settings: WorkerSettings, clock: Clock) -> Running {
        self.start_consumer(Consumer::named("notes").apply(handler.clone()).build(), settings, clock)
    }

    pub fn start_consumer(&self, consumer: Consumer, settings: WorkerSettings, clock: Clock) -> Running {
        let (queue, dead_letters) = (self.queue.clone(), self.dead_letters.clone());
        let worker = Worker::new(consumer, queue, dead_letters, self.database.pool.clone(), settings, clock);
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let status = worker.status();
        let task = tokio::spawn(worker.run(soft.clone(), hard.clone()));
        Running { soft, hard, status, task }
    }

    pub async fn send(&self, messages: &[OutgoingMessage]) {
        for result in self.queue.send(messages).await {
            result.unwrap();
        }
    }

    /// Notes and how often each was applied.
    pub async fn effects(&self) -> BTreeMap<String, i32> {
        let rows: Vec<(String, i32)> =
            sqlx::query_as("SELECT note, times FROM effects").fetch_all(&self.database.pool).await.unwrap();
        rows.into_iter().collect()
    }

    pub async fn until_applied(&self, count: usize) -> BTreeMap<String, i32> {
        eventually(&format!("{count} notes applied"), async || {
            let effects = self.effects().await;
            (effects.len() >= count).then_some(effects)
        })
        .await
    }

    /// Waits until the queue holds nothing, visible or in flight.
    pub async fn until_empty(&self) {
        until_empty(&*self.queue).await;
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Dead letters with their reports, once there are `count`.
    pub async fn until_dead(&self, count: usize) -> Vec<(RawMessage, Option<FailureReport>)> {
        let mut dead = Vec::new();
        eventually(&format!("{count} dead letters"), async || {
            let request = ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(600) };
            for message in self.dead_letters.receive(request).await.unwrap() {
                let report = message.attributes.get(FAILURE_ATTRIBUTE);
                let report = report.map(|text| serde_json::from_str(text).unwrap());
                dead.push((message, report));
            }
            (dead.len() >= count).then_some(())
        })
        .await;
        assert_eq!(dead.len(), count);
        dead
    }
}

impl Running {
    /// Asks the worker to stop, and waits for it.
    pub async fn stop(self) {
        self.soft.cancel();
        self.ended().await.unwrap();
    }

    pub async fn ended(self) -> Result<(), WorkerError> {
        tokio::time::timeout(fixtures::DEADLINE, self.task).await.expect("the worker stops").unwrap()
    }

    /// The end of the process, as far as this worker can tell.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn note(text: &str) -> OutgoingMessage {
    note_at(text, Clock::system().now())
}

pub fn note_at(text: &str, at: OffsetDateTime) -> OutgoingMessage {
    note_with_id(text, schemas::event_id(at), at)
}

pub fn note_with_id(text: &str, id: Uuid, at: OffsetDateTime) -> OutgoingMessage {
    let header = Header { id, source: "tests", time: at, sequence: Sequence::after(None, at), traceparent: None };
    let envelope = Envelope::new(&NoteTakenV1 { note: text.to_owned() }, header).unwrap();
    OutgoingMessage { body: serde_json::to_string(&envelope).unwrap(), attributes: BTreeMap::new() }
}

pub fn notes(count: usize) -> Vec<OutgoingMessage> {
    (0..count).map(|n| note(&format!("n{n:04}"))).collect()
}

/// Every note once.
pub fn once(count: usize) -> BTreeMap<String, i32> {
    (0..count).map(|n| (format!("n{n:04}"), 1)).collect()
}
