//! The whole service on a port of its own, an issuer of access tokens beside it, and whoever has one.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{Json, Router, routing::get};
use fixtures::TestDatabase;
use futures_util::future::join_all;
use outbox::OUTBOX;
use reqwest::{Client, Method, RequestBuilder, Response};
use schemas::{
    AccountStatus, Clock, DeactivationReason, Event, Role, Roles, ServiceName, TokenVersion, UserCreatedV2,
    UserDeactivatedV1, UserDeletedV1, UserReactivatedV1, UserRolesChangedV1, UserSessionsRevokedV1,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::{
    access_token::{Claims, KeySet, Parties, PublishedAt, PublishedKeys, SigningKey},
    http::{self, HttpSettings},
    rate_limit::{RateLimiter, RateLimits},
    settings::Env,
    telemetry::Metrics,
};
use sqlx::{AssertSqlSafe, PgPool};
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use user_service::{Parts, Store};
use uuid::Uuid;
use worker::{Outcome, testing::Harness};

use crate::described::{Answer, Description};

pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "waypost";
/// What an event says of an account's address.
pub const EMAIL: &str = "ada@example.com";

pub async fn database() -> TestDatabase {
    let database = fixtures::user_database().await;
    partitions::maintain(&database.pool, OUTBOX, Clock::system().now()).await.unwrap();
    database
}

/// A clock that a test moves.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.whole_milliseconds() as i64, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let (ahead, system) = (self.0.clone(), Clock::system());
        Clock::reading(move || system.now() + Duration::milliseconds(ahead.load(Ordering::Relaxed)))
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock().now()
    }
}

/// Who signs access tokens, and publishes the keys for them.
#[derive(Clone)]
pub struct Issuer {
    pub key: Arc<SigningKey>,
    pub url: String,
}

impl Issuer {
    pub async fn start() -> Self {
        let (key, _) = SigningKey::generate().unwrap();
        let set = Json(KeySet::of([key.public()]).to_jwk_set());
        let router = Router::new().route("/keys", get(async move || set.clone()));
        let url = serve(router, &HttpSettings::default(), CancellationToken::new()).await;
        Self { key: Arc::new(key), url: format!("{url}/keys") }
    }

    /// Nobody answers there.
    pub fn away() -> Self {
        Self { key: Arc::new(SigningKey::generate().unwrap().0), url: "http://127.0.0.1:9/keys".to_owned() }
    }
}

/// What a service is started with, where a test has something of its own.
pub struct Start {
    pub pool: PgPool,
    pub replica: Option<PgPool>,
    pub issuer: Issuer,
    pub limits: RateLimits,
}

pub struct Service {
    pub pool: PgPool,
    pub url: String,
    pub internal_url: String,
    pub client: Client,
    pub clock: TestClock,
    pub issuer: Issuer,
    pub description: Description,
    worker: Harness,
}

/// Somebody with an access token.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

impl Start {
    /// What is not about limits asks as often as it likes.
    pub async fn over(pool: PgPool) -> Self {
        let limits = RateLimits { factor: 10_000, ..RateLimits::default() };
        Self { pool, replica: None, issuer: Issuer::start().await, limits }
    }

    pub async fn service(self) -> Service {
        let Self { pool, replica, issuer, limits } = self;
        let clock = TestClock::default();
        let store = Store::new(pool.clone(), replica, clock.clock());
        let env = Env::of([("AUTH_JWKS_URL", issuer.url.as_str())]);
        let keys = PublishedKeys::at(PublishedAt::from_env(&env, "AUTH_JWKS_URL").unwrap()).unwrap();
        let parts = Parts {
            store: store.clone(),
            keys: keys.clone(),
            parties: Parties { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned() },
            limiter: RateLimiter::new(limits, b"a secret of this test", None),
        };
        let settings = HttpSettings { request_timeout: std::time::Duration::from_mins(1), ..HttpSettings::default() };
        let stop = CancellationToken::new();
        let health = user_service::health(&store, keys, None, stop.clone());
        let internal = user_service::internal_router(health, Metrics::start("test").unwrap(), &settings);
        let url = serve(user_service::router(parts, &settings), &settings, stop.clone()).await;
        let internal_url = serve(internal, &settings, stop).await;
        let client = Client::new();
        let document = client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
        let description = Description::of(document);
        let worker = Harness::new(user_service::declared(), pool.clone()).await.unwrap();
        Service { pool, url, internal_url, client, clock, issuer, description, worker }
    }
}

impl Service {
    pub async fn start() -> Self {
        Start::over(database().await.pool).await.service().await
    }

    /// Somebody of whom nothing was heard here yet.
    pub fn stranger(&self) -> Person {
        let id = Uuid::new_v4();
        Person { id, token: self.token(id, &["user"], 1) }
    }

    /// Somebody whose `user.created` was applied.
    pub async fn person(&self) -> Person {
        let person = self.stranger();
        self.create(person.id).await;
        person
    }

    pub async fn administrator(&self) -> Person {
        let person = self.person().await;
        Person { token: self.token(person.id, &["user", "admin"], 1), ..person }
    }

    /// A token of this user, with these roles, of this version.
    pub fn token(&self, user: Uuid, roles: &[&str], version: i64) -> String {
        sign(&self.issuer.key, &Claims { ver: version, ..self.claims(user, roles) })
    }

    pub fn claims(&self, user: Uuid, roles: &[&str]) -> Claims {
        let now = self.clock.now().unix_timestamp();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            exp: now + 600,
            nbf: now,
            iat: now,
            jti: Uuid::new_v4(),
            client_id: AUDIENCE.to_owned(),
            sid: Uuid::new_v4(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ver: 1,
            auth_time: now,
        }
    }

    /// Has an event applied, as the worker does it.
    pub async fn apply<E: Event>(&self, event: &E) {
        let outcome = self.worker.deliver(&[self.worker.envelope(event)]).await.pop().unwrap();
        assert_eq!(outcome, Outcome::Applied);
    }

    pub async fn create(&self, user_id: Uuid) {
        let (timestamp, source) = (self.clock.now(), ServiceName::AUTH_SERVICE);
        let (email, status) = (EMAIL.to_owned().try_into().unwrap(), AccountStatus::Active);
        let display_name = Some("Ada Lovelace".parse().unwrap());
        let roles = Roles::of_a_new_account();
        self.apply(&UserCreatedV2 {
            user_id,
            email,
            timestamp,
            source,
            display_name,
            email_verified: true,
            roles,
            status,
        })
        .await;
    }

    pub async fn set_roles(&self, user_id: Uuid, roles: &[&str], min_token_version: i64) {
        let roles = roles.iter().map(|role| role.parse().unwrap()).collect::<Vec<Role>>();
        let min_token_version: TokenVersion = min_token_version.try_into().unwrap();
        let (timestamp, source, email) = (self.clock.now(), ServiceName::AUTH_SERVICE, EMAIL.to_owned());
        let (roles, email) = (Roles::try_from(roles).unwrap(), email.try_into().unwrap());
        self.apply(&UserRolesChangedV1 { user_id, email, timestamp, source, roles, min_token_version }).await;
    }

    pub async fn revoke_sessions(&self, user_id: Uuid, min_token_version: i64) {
        let min_token_version: TokenVersion = min_token_version.try_into().unwrap();
        let (timestamp, source, email) = (self.clock.now(), ServiceName::AUTH_SERVICE, EMAIL.to_owned());
        let email = email.try_into().unwrap();
        self.apply(&UserSessionsRevokedV1 { user_id, email, timestamp, source, min_token_version }).await;
    }

    pub async fn deactivate(&self, user_id: Uuid) {
        let (timestamp, source, email) = (self.clock.now(), ServiceName::AUTH_SERVICE, EMAIL.to_owned());
        let (email, min_token_version) = (email.try_into().unwrap(), 2.try_into().unwrap());
        let (status, reason) = (AccountStatus::Deactivated, DeactivationReason::AdminDecision);
        self.apply(&UserDeactivatedV1 { user_id, email, timestamp, source, status, reason, min_token_version }).await;
    }

    pub async fn reactivate(&self, user_id: Uuid) {
        let (timestamp, source, email) = (self.clock.now(), ServiceName::AUTH_SERVICE, EMAIL.to_owned());
        let (email, status) = (email.try_into().unwrap(), AccountStatus::Active);
        self.apply(&UserReactivatedV1 { user_id, email, timestamp, source, status }).await;
    }

    pub async fn erase(&self, user_id: Uuid) {
        let (timestamp, source) = (self.clock.now(), ServiceName::AUTH_SERVICE);
        self.apply(&UserDeletedV1 { user_id, timestamp, source, erasure_id: Uuid::new_v4() }).await;
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = answer(self.client.execute(request).await.unwrap()).await;
        self.description.check(&method, &path, &answer);
        answer
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub fn by(&self, person: &Person, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&person.token)
    }

    pub async fn get(&self, person: &Person, path: &str) -> Answer {
        self.send(self.by(person, Method::GET, path)).await
    }

    /// As an attempt of its own.
    pub async fn post(&self, person: &Person, path: &str, body: &Value) -> Answer {
        self.post_again(person, path, &Uuid::new_v4().to_string(), body).await
    }

    pub async fn post_again(&self, person: &Person, path: &str, key: &str, body: &Value) -> Answer {
        let answer = self.send(self.by(person, Method::POST, path).header("idempotency-key", key).json(body)).await;
        if answer.status == 201 {
            self.description.check_request("POST", path, body, &answer);
        }
        answer
    }

    /// As whoever saw this version of it.
    pub async fn change(&self, person: &Person, method: Method, path: &str, seen: &str, body: &Value) -> Answer {
        let answer = self.send(self.by(person, method.clone(), path).header("if-match", seen).json(body)).await;
        // Of what it refuses, a description can't tell all: what a card or a time zone is.
        if answer.status == 200 {
            self.description.check_request(method.as_str(), path, body, &answer);
        }
        answer
    }

    pub async fn delete(&self, person: &Person, path: &str) -> Answer {
        self.send(self.by(person, Method::DELETE, path)).await
    }

    pub async fn wish(&self, person: &Person, product: Uuid) -> Answer {
        self.send(self.by(person, Method::PUT, &format!("/v1/me/wishlist/{product}"))).await
    }

    /// The path of a new address.
    pub async fn address(&self, person: &Person, body: &Value) -> String {
        let answer = self.post(person, "/v1/me/addresses", body).await.expect(201);
        answer.header("location").unwrap().to_owned()
    }

    /// The path of a new payment method.
    pub async fn payment_method(&self, person: &Person, body: &Value) -> String {
        let answer = self.post(person, "/v1/me/payment-methods", body).await.expect(201);
        answer.header("location").unwrap().to_owned()
    }

    pub async fn execute(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// A product, as an event of it leaves it.
    pub async fn product(&self, id: Uuid, name: &str, price_minor: i64, status: &str) {
        sqlx::query(
            "INSERT INTO products (product_id, sku, name, price_minor, currency, status, sequence)
             VALUES ($1, $1::text, $2, $3, 'EUR', $4, 1)
             ON CONFLICT (product_id) DO UPDATE SET price_minor = excluded.price_minor, status = excluded.status",
        )
        .bind(id)
        .bind(name)
        .bind(price_minor)
        .bind(status)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Every row of every table that users write, as text.
    pub async fn written(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in WRITTEN {
            let dump = format!("SELECT '{table} ' || t::text FROM {table} t ORDER BY 1");
            let dump: Vec<String> = sqlx::query_scalar(AssertSqlSafe(dump)).fetch_all(&self.pool).await.unwrap();
            rows.extend(dump);
        }
        rows
    }

    /// Has all of these writers come to the person's row before the first of them goes on, so that it matters that they wait.
    pub async fn at_once<T>(
        &self,
        person: &Person,
        writers: impl IntoIterator<Item = impl Future<Output = T>>,
    ) -> Vec<T> {
        let mut somebody = self.pool.begin().await.unwrap();
        for statement in [
            "INSERT INTO user_profiles (user_id) VALUES ($1) ON CONFLICT DO NOTHING",
            "SELECT FROM user_profiles WHERE user_id = $1 FOR UPDATE",
        ] {
            sqlx::query(statement).bind(person.id).execute(&mut *somebody).await.unwrap();
        }
        let writers: Vec<_> = writers.into_iter().collect();
        let many = writers.len() as i64;
        let release = async {
            self.until_waiting(many).await;
            somebody.rollback().await.unwrap();
        };
        tokio::join!(join_all(writers), release).0
    }

    /// Waits until so many statements wait for a lock of this database.
    pub async fn until_waiting(&self, many: i64) {
        fixtures::eventually("all wait for a lock", async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&self.pool).await.unwrap();
            (waiting >= many).then_some(())
        })
        .await;
    }
}

const WRITTEN: [&str; 6] =
    ["addresses", "idempotency_keys", "payment_methods", "user_preferences", "user_profiles", "wishlist_items"];

async fn serve(router: Router, settings: &HttpSettings, stop: CancellationToken) -> String {
    let listener = http::bind("USER_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(http::serve(listener, router, settings.clone(), stop.clone(), stop));
    url
}

pub fn sign(key: &SigningKey, claims: &Claims) -> String {
    key.sign(claims).unwrap().expose_secret().to_owned()
}

pub fn home() -> Value {
    json!({
        "recipient": "Ada Lovelace", "line1": "Unter den Linden 77", "line2": "Hinterhaus", "city": "Berlin",
        "region": "Berlin", "postalCode": "10117", "country": "DE", "phone": "+4930123456",
    })
}

/// A card of a token that no other has. It is of letters alone: of random ones, some hold what may be a card's number.
pub fn card() -> Value {
    let letter = |digit: char| digit.to_digit(16).and_then(|digit| char::from_digit(digit + 16, 32)).unwrap();
    let token: String = Uuid::new_v4().simple().to_string().chars().map(letter).collect();
    json!({
        "provider": "stripe", "providerToken": format!("pm_{token}"), "brand": "visa", "last4": "4242", "expMonth": 12, "expYear": 2099,
    })
}

/// With one field more, or another.
pub fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

pub async fn answer(response: Response) -> Answer {
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Answer { status, headers, text: response.text().await.unwrap() }
}
