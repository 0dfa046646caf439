//! The whole service on a port of its own, and people who use it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use auth_service::{
    HashLimits, MailerKey, MailerKeySource, Parts, PasswordHasher, PasswordPolicy, Pseudonyms, RequestWorker,
    SigningKeySource, SigningKeys, Store, TokenIssuer, USER_CACHE, UseCases, VerificationRule,
};
use fixtures::TestDatabase;
use outbox::{OUTBOX, Wake};
use reqwest::{Client, Method, Response};
use schemas::{Clock, Envelope, SealedToken};
use sealing::{Context, OpeningKey, OpeningKeys, purpose};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::{
    cache::Cache,
    http::{self, HttpSettings},
    key_files::KeyFolder,
    rate_limit::{RateLimiter, RateLimits},
    redis::Redis,
    settings::Env,
    telemetry::Metrics,
};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::described::{Answer, Description};

pub const PASSWORD: &str = "correct horse battery staple";

/// Nobody is turned away, however slow the machine is.
pub fn patient() -> HashLimits {
    HashLimits { wait: Duration::from_mins(1), queue: 1_000, ..HashLimits::default() }
}

pub async fn database() -> TestDatabase {
    let database = fixtures::auth_database().await;
    partitions::maintain(&database.pool, OUTBOX, Clock::system().now()).await.unwrap();
    database
}

/// A clock that a test moves on.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn advance(&self, by: time::Duration) {
        self.0.fetch_add(by.whole_milliseconds() as i64, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let (ahead, system) = (self.0.clone(), Clock::system());
        Clock::reading(move || system.now() + time::Duration::milliseconds(ahead.load(Ordering::Relaxed)))
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock().now()
    }
}

/// What the instances of one installation share.
#[derive(Clone)]
struct Shared {
    clock: TestClock,
    signing: SigningKeySource,
    pseudonyms: Pseudonyms,
    mailer: Arc<OpeningKey>,
    verification: VerificationRule,
    limits: HashLimits,
    policy: PasswordPolicy,
    rates: RateLimits,
    redis: Option<Redis>,
    /// What is asked for is done as soon as it can be; otherwise by rounds that a test makes.
    works: bool,
    http: HttpSettings,
    _keys: Arc<tempfile::TempDir>,
}

pub struct Service {
    pub pool: PgPool,
    pub url: String,
    pub client: Client,
    pub clock: TestClock,
    pub hasher: PasswordHasher,
    pub store: Store,
    pub keys: SigningKeys,
    pub request_worker: RequestWorker,
    pub internal_url: String,
    pub description: Arc<Description>,
    shared: Shared,
}

/// Somebody who has an account and is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: Uuid,
    pub email: String,
    pub access: String,
    pub refresh: String,
    pub session: Uuid,
}

impl Service {
    pub async fn start() -> Self {
        Self::over(database().await.pool, patient()).await
    }

    /// It only writes down what it is asked for. A test that wants it done makes a round.
    pub async fn start_idle() -> Self {
        Self::on(database().await.pool, patient(), VerificationRule::Required, false).await
    }

    pub async fn over(pool: PgPool, limits: HashLimits) -> Self {
        Self::with(pool, limits, VerificationRule::Required).await
    }

    pub async fn with(pool: PgPool, limits: HashLimits, verification: VerificationRule) -> Self {
        Self::on(pool, limits, verification, true).await
    }

    async fn on(pool: PgPool, limits: HashLimits, verification: VerificationRule, works: bool) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let signing = SigningKeySource::Folder {
            folder: KeyFolder::new(keys.path().join("signing"), "pem"),
            makes_first: true,
            rotates: true,
        };
        let shared = Shared {
            clock: TestClock::default(),
            signing,
            pseudonyms: Pseudonyms::parse(&Pseudonyms::generate().unwrap()).unwrap(),
            mailer: Arc::new(OpeningKey::generate()),
            verification,
            limits,
            policy: PasswordPolicy::default(),
            // What is not about limits asks as often as it likes.
            rates: RateLimits { factor: 10_000, ..RateLimits::default() },
            redis: None,
            works,
            http: HttpSettings::default(),
            _keys: Arc::new(keys),
        };
        Self::of(pool, shared).await
    }

    /// Another instance, on the same database and with the same keys.
    pub async fn another(&self) -> Self {
        Self::of(self.pool.clone(), self.shared.clone()).await
    }

    /// Another instance, that asks something else of new passwords.
    pub async fn with_policy(&self, policy: PasswordPolicy) -> Self {
        Self::of(self.pool.clone(), Shared { policy, ..self.shared.clone() }).await
    }

    /// Another instance, with the limits as they are, and with a Redis. The test is its proxy, and says where somebody is.
    pub async fn limited(&self, replicas: u32, redis: Option<Redis>) -> Self {
        let rates = RateLimits { replicas, ..RateLimits::default() };
        let http = http_settings(&[("TRUSTED_PROXIES", "127.0.0.1")]);
        Self::of(self.pool.clone(), Shared { rates, redis, http, ..self.shared.clone() }).await
    }

    /// Another instance, with a Redis.
    pub async fn with_redis(&self, redis: Redis) -> Self {
        Self::of(self.pool.clone(), Shared { redis: Some(redis), ..self.shared.clone() }).await
    }

    /// Another instance, with these settings for HTTP.
    pub async fn with_environment(&self, variables: &[(&str, &str)]) -> Self {
        Self::of(self.pool.clone(), Shared { http: http_settings(variables), ..self.shared.clone() }).await
    }

    async fn of(pool: PgPool, shared: Shared) -> Self {
        let clock = shared.clock.clone();
        let keys = SigningKeys::open(shared.signing.clone(), clock.now()).unwrap();
        let cache = Cache::new(USER_CACHE, shared.redis.clone(), Duration::from_mins(15));
        let store = Store::new(pool.clone(), Wake::none(), clock.clock(), cache);
        let hasher = PasswordHasher::new(shared.limits).unwrap();
        let issuer =
            TokenIssuer { issuer: "https://auth.example.com".into(), audience: "waypost".into(), keys: keys.clone() };
        let parts = Parts {
            store: store.clone(),
            hasher: hasher.clone(),
            policy: shared.policy,
            verification: shared.verification,
            pseudonyms: shared.pseudonyms.clone(),
            issuer,
            mailer: MailerKey::open(MailerKeySource::Fixed(shared.mailer.sealing_key())).unwrap(),
            limiter: RateLimiter::new(shared.rates, &shared.pseudonyms.derive("rate limits"), shared.redis.clone()),
        };
        let settings = HttpSettings { request_timeout: Duration::from_mins(1), ..shared.http.clone() };
        let stop = CancellationToken::new();
        let health = auth_service::health(&store, shared.redis.clone(), stop.clone());
        let internal = auth_service::internal_router(health, Metrics::start("test").unwrap(), &settings);
        let use_cases = UseCases::of(parts);
        let request_worker = use_cases.request_worker();
        if shared.works {
            tokio::spawn(request_worker.clone().run(stop.clone()));
        }
        let mut urls = Vec::new();
        for router in [auth_service::router(use_cases, &settings), internal] {
            let listener = http::bind("AUTH_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            tokio::spawn(http::serve(listener, router, settings.clone(), stop.clone(), stop.clone()));
        }
        let [url, internal_url] = urls.try_into().unwrap();
        let client = Client::new();
        let document = client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
        let description = Arc::new(Description::of(document));
        Self { pool, url, client, clock, hasher, store, keys, request_worker, internal_url, description, shared }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = answer(self.client.execute(request).await.unwrap()).await;
        self.description.check(&method, &path, &answer);
        answer
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// With somebody's access token.
    pub async fn by(&self, person: &Person, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(&person.access);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub async fn register(&self, email: &str) -> Answer {
        self.post("/v1/auth/register", &json!({"email": email, "password": PASSWORD})).await
    }

    /// As the relay does by and by: weeks are there for four more, which are up a month later, on some days of the week.
    pub async fn make_weeks(&self) {
        partitions::maintain(&self.pool, OUTBOX, self.clock.now()).await.unwrap();
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/v1/auth/login", &json!({"email": email, "password": password})).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/v1/auth/refresh", &json!({"refreshToken": token})).await
    }

    /// Registers and verifies; answers the account's id.
    pub async fn make_account(&self, email: &str) -> Uuid {
        self.register(email).await.expect(202);
        let token = self.mailed_token(email).await;
        self.post("/v1/auth/email/verify", &json!({"token": token})).await.expect(204);
        sqlx::query_scalar("SELECT id FROM users WHERE email = $1").bind(email).fetch_one(&self.pool).await.unwrap()
    }

    /// Registers, verifies and signs in.
    pub async fn person(&self, email: &str) -> Person {
        let id = self.make_account(email).await;
        let body = self.log_in(email, PASSWORD).await.expect(200).json();
        Person::from(id, email, &body)
    }

    /// Signs in once more.
    pub async fn again(&self, person: &Person) -> Person {
        let body = self.log_in(&person.email, PASSWORD).await.expect(200).json();
        Person::from(person.id, &person.email, &body)
    }

    pub async fn administrator(&self, email: &str) -> Person {
        let id = self.make_account(email).await;
        let (by, origin) = (auth_service::By::Operator, auth_service::Origin::internal());
        let role = schemas::Role::ADMIN;
        auth_service::administration::grant(&self.store, id, &role, by, &origin).await.unwrap();
        let body = self.log_in(email, PASSWORD).await.expect(200).json();
        Person::from(id, email, &body)
    }

    /// Waits until what was asked for is done.
    pub async fn settled(&self) {
        if !self.shared.works {
            return;
        }
        fixtures::eventually("what was asked for is done", async || {
            let waits = sqlx::query_scalar("SELECT EXISTS (SELECT FROM account_requests)");
            (!waits.fetch_one(&self.pool).await.unwrap_or(false)).then_some(())
        })
        .await;
    }

    /// The token of the newest mail to an address, opened as the mailer opens it.
    pub async fn mailed_token(&self, email: &str) -> String {
        self.mailed_tokens(email).await.pop().unwrap_or_else(|| panic!("no mail with a token goes to {email}"))
    }

    /// Of all mails to an address, oldest first.
    pub async fn mailed_tokens(&self, email: &str) -> Vec<String> {
        let keys = OpeningKeys::from_iter([OpeningKey::parse(&self.shared.mailer.text()).unwrap()]);
        let events = self.envelopes().await;
        let to_address = events.iter().filter(|(_, data)| data["tokenSealed"].is_string() && data["email"] == email);
        to_address
            .map(|(envelope, data)| {
                let purpose = match envelope.event_type.as_str() {
                    "user.email.verification.requested" => purpose::EMAIL_VERIFICATION,
                    "user.password.reset.requested" => purpose::PASSWORD_RESET,
                    other => panic!("{other}"),
                };
                let sealed: SealedToken = data["tokenSealed"].as_str().unwrap().parse().unwrap();
                let user_id = data["userId"].as_str().unwrap().parse().unwrap();
                let context = Context { event_id: envelope.id.parse().unwrap(), user_id, purpose };
                keys.open(&sealed, &context).unwrap().expose_secret().to_owned()
            })
            .collect()
    }

    /// What is in the outbox, in the order of its subjects' versions.
    pub async fn envelopes(&self) -> Vec<(Envelope, Value)> {
        self.settled().await;
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT envelope FROM outbox WHERE envelope IS NOT NULL ORDER BY envelope::jsonb ->> 'sequence', event_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let read = |body: &String| {
            let (envelope, _) = Envelope::read(body).unwrap();
            let data = serde_json::from_str(envelope.data.get()).unwrap();
            (envelope, data)
        };
        bodies.iter().map(read).collect()
    }

    /// The types of an account's events, in order, and what each said.
    pub async fn events_of(&self, account: Uuid) -> Vec<(String, Value)> {
        let about = |(envelope, _): &(Envelope, Value)| envelope.subject.as_deref() == Some(&*account.to_string());
        self.envelopes().await.into_iter().filter(about).map(|(envelope, data)| (envelope.event_type, data)).collect()
    }

    pub async fn event_types_of(&self, account: Uuid) -> Vec<String> {
        self.events_of(account).await.into_iter().map(|(event_type, _)| event_type).collect()
    }

    /// Actions, outcomes and reasons of an account's audit trail, oldest first.
    pub async fn trail_of(&self, account: Uuid) -> Vec<String> {
        self.settled().await;
        sqlx::query_scalar(
            "SELECT concat_ws(' ', action, outcome, reason) FROM security_audit_logs
              WHERE subject_id = $1 ORDER BY at, id",
        )
        .bind(account)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    pub async fn count(&self, table: &str) -> i64 {
        self.settled().await;
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// Everything that any table holds, each row after its table's name.
    pub async fn rows(&self) -> BTreeSet<String> {
        self.settled().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut rows = BTreeSet::new();
        for table in tables {
            let sql = sqlx::AssertSqlSafe(format!("SELECT concat('{table}: ', t::text) FROM {table} t"));
            rows.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&self.pool).await.unwrap());
        }
        rows
    }

    /// The same as one text.
    pub async fn dump(&self) -> String {
        Vec::from_iter(self.rows().await).join("\n")
    }
}

fn http_settings(variables: &[(&str, &str)]) -> HttpSettings {
    HttpSettings::of_api(&Env::of(variables.iter().copied())).unwrap()
}

impl Person {
    pub fn from(id: Uuid, email: &str, body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self {
            id,
            email: email.to_owned(),
            access: text("accessToken"),
            refresh: text("refreshToken"),
            session: text("sessionId").parse().unwrap(),
        }
    }
}

pub async fn answer(response: Response) -> Answer {
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Answer { status, headers, text: response.text().await.unwrap() }
}
