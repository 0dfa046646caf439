//! Registration over HTTP → row in `auth_db` → SNS → SQS → profile in `user_db`.

use std::{sync::Arc, time::Duration};

use auth_service::{HashLimits, PasswordHasher, Registration};
use fixtures::{TestBus, TestDatabase, eventually, on_both_buses};
use messaging::{Queue, QueueSettings};
use outbox::{OUTBOX, Relay, RelaySettings, Wake};
use reqwest::{Client, StatusCode};
use schemas::{Clock, Event, UserCreatedV1};
use serde_json::json;
use service::{
    http::{self, HttpSettings},
    telemetry::Metrics,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Worker, WorkerSettings};

/// Both services and the bus, in this process, each on what is its own.
struct Platform {
    auth: TestDatabase,
    user: TestDatabase,
    bus: TestBus,
    queue: Arc<dyn Queue>,
    dead_letters: Arc<dyn Queue>,
    wake: Wake,
    url: String,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

const PASSWORD: &str = "correct horse battery staple";

impl Platform {
    /// The API; its relay and the workers are started by the test.
    async fn start(bus: TestBus) -> Self {
        let (auth, user) = tokio::join!(fixtures::auth_database(), fixtures::user_database());
        let (queue, dead_letters) =
            bus.subscribe(user_service::NAME, &[UserCreatedV1::TYPE], QueueSettings::DEFAULT).await;
        let clock = Clock::system();
        partitions::maintain(&auth.pool, OUTBOX, clock.now()).await.unwrap();
        let (stop, wake) = (CancellationToken::new(), Wake::new());
        let limits = HashLimits { wait: Duration::from_secs(60), ..HashLimits::default() };
        let registration = Registration::new(auth.pool.clone(), PasswordHasher::new(limits), wake.clone(), clock);
        let settings = HttpSettings { request_timeout: Duration::from_secs(60), ..HttpSettings::default() };
        let health = auth_service::health(auth.pool.clone(), stop.clone());
        let router = auth_service::router(registration, health, Metrics::start("test").unwrap(), &settings);
        let listener = http::bind("AUTH_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}/v1/auth/register", listener.local_addr().unwrap());
        tokio::spawn(http::serve(listener, router, settings, stop.clone(), stop.clone()));
        Self { auth, user, bus, queue, dead_letters, wake, url, stop, tasks: Vec::new() }
    }

    fn start_relay(&mut self) {
        let publisher = self.bus.bus.publisher();
        let relay = Relay::new(self.auth.pool.clone(), publisher, RelaySettings::default(), Clock::system());
        self.tasks.push(tokio::spawn(relay.run(self.wake.clone(), self.stop.clone())));
    }

    fn start_worker(&mut self) {
        let settings = WorkerSettings {
            lease: Duration::from_secs(10),
            wait: Duration::from_secs(1),
            ..WorkerSettings::new("test", "0.0.0-test")
        };
        let (queue, dead_letters, pool) = (self.queue.clone(), self.dead_letters.clone(), self.user.pool.clone());
        let worker = Worker::new(user_service::consumer(), queue, dead_letters, pool, settings, Clock::system());
        let running = worker.run(self.stop.clone(), CancellationToken::new());
        self.tasks.push(tokio::spawn(async move { running.await.unwrap() }));
    }

    async fn register(&self, email: &str) -> StatusCode {
        let body = json!({ "email": email, "password": PASSWORD });
        Client::new().post(&self.url).json(&body).send().await.unwrap().status()
    }

    async fn profiles(&self) -> Vec<(Uuid, Option<String>)> {
        sqlx::query_as("SELECT user_id, email FROM user_profiles ORDER BY user_id")
            .fetch_all(&self.user.pool)
            .await
            .unwrap()
    }

    async fn accounts(&self) -> Vec<(Uuid, Option<String>)> {
        sqlx::query_as("SELECT id, email FROM users ORDER BY id").fetch_all(&self.auth.pool).await.unwrap()
    }

    async fn until_profiles_are_accounts(&self) {
        eventually("a profile for every account", async || {
            (self.profiles().await == self.accounts().await).then_some(())
        })
        .await;
    }

    /// Nothing may be left over: not in the outbox, the queue, or the dead-letter queue.
    async fn stop(self) {
        eventually("empty queues", async || {
            let (queue, dead) = (self.queue.counts().await.unwrap(), self.dead_letters.counts().await.unwrap());
            (queue.visible + queue.in_flight + dead.visible + dead.in_flight == 0).then_some(())
        })
        .await;
        let unpublished: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE status <> 'published'")
            .fetch_one(&self.auth.pool)
            .await
            .unwrap();
        assert_eq!(unpublished, 0);
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

on_both_buses!(
    a_committed_registration_is_delivered,
    a_registration_that_is_rolled_back_is_not_delivered,
    registrations_made_while_nothing_else_runs_are_delivered_when_it_does,
    many_registrations_of_one_address_are_one_account_one_event_and_one_profile,
    a_password_is_nowhere_but_in_its_hash,
);

async fn a_committed_registration_is_delivered(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    platform.start_worker();
    assert_eq!(platform.register("Ada@Example.com").await, StatusCode::ACCEPTED);
    platform.until_profiles_are_accounts().await;
    let profiles = platform.profiles().await;
    assert_eq!(profiles.len(), 1);
    assert_eq!(profiles[0].1.as_deref(), Some("ada@example.com"));
    platform.stop().await;
}

async fn a_registration_that_is_rolled_back_is_not_delivered(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    // The commit itself fails, after everything was written.
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.email = 'nobody@example.com') EXECUTE FUNCTION refuse();",
    )
    .execute(&platform.auth.pool)
    .await
    .unwrap();
    platform.start_relay();
    platform.start_worker();
    assert_eq!(platform.register("nobody@example.com").await, StatusCode::INTERNAL_SERVER_ERROR);
    // The event of a later registration comes after whatever the first might have left behind.
    assert_eq!(platform.register("somebody@example.com").await, StatusCode::ACCEPTED);
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 1);
    platform.stop().await;
}

async fn registrations_made_while_nothing_else_runs_are_delivered_when_it_does(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    for user in 0..5 {
        assert_eq!(platform.register(&format!("user{user}@example.com")).await, StatusCode::ACCEPTED);
    }
    platform.start_relay();
    platform.start_worker();
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 5);
    platform.stop().await;
}

async fn many_registrations_of_one_address_are_one_account_one_event_and_one_profile(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    platform.start_worker();
    platform.start_worker();
    let spellings = ["ada@example.com", "ADA@example.com", " ada@EXAMPLE.com ", "Ada@Example.Com"];
    let answers = futures_util::future::join_all(spellings.iter().map(|email| platform.register(email))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED), "{answers:?}");
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 1);
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&platform.auth.pool).await.unwrap();
    assert_eq!(events, 1);
    platform.stop().await;
}

async fn a_password_is_nowhere_but_in_its_hash(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    assert_eq!(platform.register("ada@example.com").await, StatusCode::ACCEPTED);
    let message = eventually("the message", async || {
        let (wait, visibility) = (Duration::from_secs(1), Duration::from_secs(0));
        let request = messaging::ReceiveRequest { max: 1, wait, visibility };
        platform.queue.receive(request).await.unwrap().pop()
    })
    .await;
    let stored: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(u::text, '') FROM users u) || (SELECT string_agg(o::text, '') FROM outbox o)",
    )
    .fetch_one(&platform.auth.pool)
    .await
    .unwrap();
    for text in [stored, message.body, format!("{:?}", message.attributes)] {
        assert!(!text.contains(PASSWORD), "the password is in: {text}");
    }
    platform.start_worker();
    platform.until_profiles_are_accounts().await;
    platform.stop().await;
}
