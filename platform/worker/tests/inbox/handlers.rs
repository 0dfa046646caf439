//! The forms that a handler can take, tried without a bus.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fixtures::TestDatabase;
use messaging::QueueSettings;
use sqlx::PgConnection;
use worker::{
    ApplyEvents, Call, Consumer, HandlerError, Middleware, Next, Outcome, Received, Verdict, WorkerSettings,
    testing::Harness,
};

use crate::world::{CountNotes, NoteTakenV1};

async fn database() -> TestDatabase {
    let database = fixtures::user_database().await;
    let table = "CREATE TABLE effects (note text PRIMARY KEY, times int NOT NULL, tenant text)";
    sqlx::query(table).execute(&database.pool).await.unwrap();
    database
}

fn taken(note: &str) -> NoteTakenV1 {
    NoteTakenV1 { note: note.to_owned() }
}

async fn count_note(tx: &mut PgConnection, note: &Received<'_, NoteTakenV1>) -> Result<Verdict, HandlerError> {
    let text = &note.event.note;
    sqlx::query(
        "INSERT INTO effects (note, times, tenant) VALUES ($1, 1, current_setting('test.tenant', true))
             ON CONFLICT (note) DO UPDATE SET times = effects.times + 1",
    )
    .bind(text)
    .execute(tx)
    .await?;
    match text.as_str() {
        "poison" => Err(HandlerError::reject("no such note")),
        _ => Ok(Verdict::Applied),
    }
}

fn counting() -> worker::ConsumerBuilder {
    Consumer::named("notes").apply_each("count_note", &["/note"], count_note)
}

#[tokio::test]
async fn a_function_applies_events_in_the_transaction_of_their_claims() {
    let database = database().await;
    let harness = Harness::new(counting().build(), database.pool.clone()).await.unwrap();
    let events: Vec<_> = ["a", "b", "poison", "c"].map(|note| harness.envelope(&taken(note))).into();
    let outcomes = harness.deliver(&events).await;
    let [Outcome::Applied, Outcome::Applied, Outcome::DeadLettered(report), Outcome::Applied] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!((report.reason.as_str(), report.message.as_str()), ("rejected", "no such note"));
    assert_eq!(report.handler.as_deref(), Some("count_note"));
    let again = harness.deliver(&events[..2]).await;
    assert_eq!(again, [Outcome::Duplicate, Outcome::Duplicate]);
    let notes: Vec<(String, i32)> =
        sqlx::query_as("SELECT note, times FROM effects ORDER BY note").fetch_all(&database.pool).await.unwrap();
    assert_eq!(notes, ["a", "b", "c"].map(|note| (note.to_owned(), 1)));
}

#[tokio::test]
async fn copies_that_come_together_are_applied_once_and_a_message_that_is_no_event_is_rejected() {
    let database = database().await;
    let harness = Harness::new(counting().build(), database.pool.clone()).await.unwrap();
    let event = serde_json::to_string(&harness.envelope(&taken("a"))).unwrap();
    let outcomes = harness.deliver_bodies(vec![event.clone(), "no event".to_owned(), event]).await;
    let [Outcome::Applied, Outcome::DeadLettered(report), Outcome::Duplicate] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(report.reason, "undecodable");
}

/// Sets whose notes they are, refuses some itself, and tells errors apart.
struct Tenants {
    closed: Arc<AtomicBool>,
}

#[async_trait]
impl Middleware for Tenants {
    async fn call(&self, mut call: Call<'_>, next: Next<'_>) -> Result<Vec<Verdict>, HandlerError> {
        assert_eq!(call.handler, "count_note");
        if self.closed.load(Ordering::SeqCst) {
            let closed = call.events.iter().map(|_| Verdict::Retry("closed for the night".into()));
            return Ok(closed.collect());
        }
        let tenant = call.events[0].source.clone();
        let connection = call.connection.as_mut().unwrap();
        sqlx::query("SELECT set_config('test.tenant', $1, true)").bind(tenant).execute(&mut **connection).await?;
        match next.run(call).await {
            Err(HandlerError::Reject(_)) => Err(HandlerError::retry("may exist tomorrow")),
            other => other,
        }
    }
}

#[tokio::test]
async fn middleware_goes_around_the_handler_in_its_transaction_and_may_answer_in_its_place() {
    let database = database().await;
    let closed = Arc::new(AtomicBool::new(true));
    let consumer = counting().around(Tenants { closed: closed.clone() }).build();
    let harness = Harness::new(consumer, database.pool.clone()).await.unwrap();
    let event = harness.envelope(&taken("a"));
    let count =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(&database.pool).await.unwrap() };
    assert!(matches!(harness.deliver(std::slice::from_ref(&event)).await[..], [Outcome::Retry(_)]));
    assert_eq!(count().await, 0);

    closed.store(false, Ordering::SeqCst);
    assert_eq!(harness.deliver(&[event]).await, [Outcome::Applied]);
    let tenant: Option<String> =
        sqlx::query_scalar("SELECT tenant FROM effects").fetch_one(&database.pool).await.unwrap();
    assert_eq!(tenant.as_deref(), Some(worker::testing::SOURCE));

    let outcome = harness.deliver(&[harness.envelope(&taken("poison"))]).await;
    assert!(matches!(outcome[..], [Outcome::Retry(_)]), "a rejection that was turned into a retry: {outcome:?}");
    assert_eq!(count().await, 1);
}

struct Forgetful;

#[async_trait]
impl Middleware for Forgetful {
    async fn call(&self, call: Call<'_>, next: Next<'_>) -> Result<Vec<Verdict>, HandlerError> {
        next.run(call).await.map(|_| Vec::new())
    }
}

#[tokio::test]
async fn what_answers_for_too_few_events_applies_none() {
    let database = database().await;
    let settings = WorkerSettings { max_attempts: 1, ..crate::world::settings() };
    let consumer = counting().around(Forgetful).build();
    let harness = Harness::with(consumer, database.pool.clone(), settings, schemas::Clock::system()).await.unwrap();
    let outcomes = harness.deliver(&[harness.envelope(&taken("a"))]).await;
    let [Outcome::DeadLettered(report)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(report.message, "count_note answered 0 verdicts for 1 events");
    let effects: i64 = sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(&database.pool).await.unwrap();
    assert_eq!(effects, 0);
}

#[test]
#[should_panic(expected = "`note.taken` has two handlers in consumer `notes`")]
fn an_event_has_one_handler() {
    let _ = counting().apply(CountNotes::default());
}

#[test]
fn a_consumer_may_have_settings_of_its_own_for_its_queue() {
    let settings = QueueSettings { max_receive_count: 7, ..QueueSettings::DEFAULT };
    assert_eq!(counting().queue(settings).build().subscriber().settings, settings);
    assert_eq!(counting().build().subscriber().settings, QueueSettings::DEFAULT);
}

struct Dawdle;

#[async_trait]
impl ApplyEvents for Dawdle {
    type Event = NoteTakenV1;

    const NAME: &'static str = "dawdle";
    const READS: &'static [&'static str] = &[];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, NoteTakenV1>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        sqlx::query("SELECT pg_sleep(600)").execute(connection).await?;
        Ok(events.iter().map(|_| Verdict::Applied).collect())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }
}

#[tokio::test]
async fn a_handler_may_have_a_time_limit_of_its_own() {
    let database = database().await;
    let settings = WorkerSettings { max_attempts: 1, lease: Duration::from_secs(600), ..crate::world::settings() };
    let consumer = Consumer::named("notes").apply(Dawdle).build();
    let harness = Harness::with(consumer, database.pool.clone(), settings, schemas::Clock::system()).await.unwrap();
    let outcomes = harness.deliver(&[harness.envelope(&taken("a"))]).await;
    let [Outcome::DeadLettered(report)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((report.reason.as_str(), report.message.as_str()), ("timed-out", "took longer than 100ms"));
}
