//! auth-service, user-service and a bus in one process, each on what is its own.

use std::{sync::Arc, time::Duration};

use auth_service::{
    AuthKeys, HashLimits, MailerKey, Parts, PasswordHasher, PasswordPolicy, SigningKeys, Store, TokenIssuer,
    USER_CACHE, UseCases, VerificationRule,
};
use fixtures::{TestBus, TestDatabase, eventually, until_empty};
use messaging::{Queue, QueueSettings, Topology};
use outbox::{OUTBOX, Relay, RelaySettings, Wake};
use reqwest::{Client, StatusCode};
use schemas::{Clock, Event, UserCreatedV1};
use serde_json::json;
use service::{
    cache::Cache,
    http::{self, HttpSettings},
    rate_limit::{RateLimiter, RateLimits},
    settings::Env,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Worker, WorkerSettings};

/// Both services and the bus, in this process, each on what is its own.
pub struct Platform {
    pub auth: TestDatabase,
    pub user: TestDatabase,
    pub bus: TestBus,
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
    wake: Wake,
    url: String,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

pub const PASSWORD: &str = "correct horse battery staple";

impl Platform {
    /// The API; its relay and the workers are started by the test.
    pub async fn start(bus: TestBus) -> Self {
        let (auth, user) = tokio::join!(fixtures::auth_database(), fixtures::user_database());
        let (queue, dead_letters) =
            bus.subscribe(user_service::NAME, &[UserCreatedV1::TYPE], QueueSettings::DEFAULT).await;
        // What is published needs its topic, also where nobody listens.
        let published = auth_service::SENDS.iter().copied().collect();
        bus.bus.apply(&Topology { published, ..Topology::default() }).await.unwrap();
        let clock = Clock::system();
        partitions::maintain(&auth.pool, OUTBOX, clock.now()).await.unwrap();
        let (stop, wake) = (CancellationToken::new(), Wake::new());
        let limits = HashLimits { wait: Duration::from_secs(60), ..HashLimits::default() };
        let keys = AuthKeys::from_env(&Env::of(fixtures::auth_keys())).unwrap();
        let issuer = TokenIssuer {
            issuer: "https://auth.example.com".to_owned(),
            audience: "waypost".to_owned(),
            keys: SigningKeys::open(keys.signing, clock.now()).unwrap(),
        };
        let parts = Parts {
            hasher: PasswordHasher::new(limits).unwrap(),
            policy: PasswordPolicy::default(),
            verification: VerificationRule::default(),
            pseudonyms: keys.pseudonyms.open(clock.now()).unwrap(),
            issuer,
            mailer: MailerKey::open(keys.mailer).unwrap(),
            // Everybody in these tests comes from one address.
            limiter: RateLimiter::new(RateLimits { factor: 1_000, ..RateLimits::default() }, b"secret", None),
            store: Store::new(auth.pool.clone(), wake.clone(), clock, Cache::none(USER_CACHE)),
        };
        let settings = HttpSettings { request_timeout: Duration::from_secs(60), ..HttpSettings::default() };
        let use_cases = UseCases::of(parts);
        let requests = use_cases.request_worker().run(stop.clone());
        let tasks = vec![tokio::spawn(async move { requests.await.unwrap() })];
        let router = auth_service::router(use_cases, &settings);
        let listener = http::bind("AUTH_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}/v1/auth/register", listener.local_addr().unwrap());
        tokio::spawn(http::serve(listener, router, settings, stop.clone(), stop.clone()));
        Self { auth, user, bus, queue, dead_letters, wake, url, stop, tasks }
    }

    pub fn start_relay(&mut self) {
        let publisher = self.bus.bus.publisher();
        let relay = Relay::new(self.auth.pool.clone(), publisher, RelaySettings::default(), Clock::system());
        self.tasks.push(tokio::spawn(relay.run(self.wake.clone(), self.stop.clone())));
    }

    pub fn start_worker(&mut self) {
        let settings = WorkerSettings {
            lease: Duration::from_secs(10),
            wait: Duration::from_secs(1),
            ..WorkerSettings::new("test", "0.0.0-test")
        };
        let (queue, dead_letters, pool) = (self.queue.clone(), self.dead_letters.clone(), self.user.pool.clone());
        let (clock, consumer) = (Clock::system(), user_service::consumer(Clock::system()));
        let worker = Worker::new(consumer, queue, dead_letters, pool, settings, clock);
        let running = worker.run(self.stop.clone(), CancellationToken::new());
        self.tasks.push(tokio::spawn(async move { running.await.unwrap() }));
    }

    pub async fn register(&self, email: &str) -> StatusCode {
        let body = json!({ "email": email, "password": PASSWORD });
        Client::new().post(&self.url).json(&body).send().await.unwrap().status()
    }

    pub async fn profiles(&self) -> Vec<(Uuid, Option<String>)> {
        sqlx::query_as("SELECT user_id, email FROM user_profiles ORDER BY user_id")
            .fetch_all(&self.user.pool)
            .await
            .unwrap()
    }

    async fn accounts(&self) -> Vec<(Uuid, Option<String>)> {
        sqlx::query_as("SELECT id, email FROM users ORDER BY id").fetch_all(&self.auth.pool).await.unwrap()
    }

    pub async fn until_profiles_are_accounts(&self) {
        eventually("a profile for every account", async || {
            (self.profiles().await == self.accounts().await).then_some(())
        })
        .await;
    }

    /// Nothing may be left over: not in the outbox, the queue, or the dead-letter queue.
    pub async fn stop(self) {
        until_empty(&*self.queue).await;
        until_empty(&*self.dead_letters).await;
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
