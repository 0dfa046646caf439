//! The whole service on a port of its own, and an issuer of access tokens beside it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{Json, Router, routing::get};
use fixtures::TestDatabase;
use outbox::{OUTBOX, Wake};
use product_service::{Parts, Store};
use reqwest::{Client, Method, RequestBuilder, Response};
use schemas::{Clock, Envelope};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::{
    access_token::{Claims, KeySet, Parties, PublishedAt, PublishedKeys, SigningKey},
    http::{self, HttpSettings},
    rate_limit::{RateLimiter, RateLimits},
    settings::Env,
    telemetry::Metrics,
};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::described::{Answer, Description};

pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "waypost";

pub async fn database() -> TestDatabase {
    let database = fixtures::product_database().await;
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

pub struct Service {
    pub pool: PgPool,
    pub url: String,
    pub internal_url: String,
    pub client: Client,
    pub clock: TestClock,
    pub store: Store,
    pub issuer: Issuer,
    pub description: Description,
    pub administrator: String,
}

impl Service {
    pub async fn start() -> Self {
        Self::over(database().await.pool).await
    }

    /// What is not about limits asks as often as it likes.
    pub async fn over(pool: PgPool) -> Self {
        let generous = RateLimits { factor: 10_000, ..RateLimits::default() };
        Self::with(pool, Issuer::start().await, generous, &[]).await
    }

    pub async fn with(pool: PgPool, issuer: Issuer, limits: RateLimits, variables: &[(&str, &str)]) -> Self {
        let clock = TestClock::default();
        let store = Store::new(pool.clone(), Wake::none(), clock.clock());
        let env = Env::of([("AUTH_JWKS_URL", issuer.url.as_str())]);
        let keys = PublishedKeys::at(PublishedAt::from_env(&env, "AUTH_JWKS_URL").unwrap()).unwrap();
        let parts = Parts {
            store: store.clone(),
            keys: keys.clone(),
            parties: Parties { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned() },
            limiter: RateLimiter::new(limits, b"a secret of this test", None),
        };
        let settings = HttpSettings {
            request_timeout: std::time::Duration::from_mins(1),
            ..HttpSettings::of_api(&Env::of(variables.iter().copied())).unwrap()
        };
        let stop = CancellationToken::new();
        let health = product_service::health(&store, keys, None, stop.clone());
        let internal = product_service::internal_router(health, Metrics::start("test").unwrap(), &settings);
        let url = serve(product_service::router(parts, &settings), &settings, stop.clone()).await;
        let internal_url = serve(internal, &settings, stop).await;
        let client = Client::new();
        let document = client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
        let description = Description::of(document);
        let mut service =
            Self { pool, url, internal_url, client, clock, store, issuer, description, administrator: String::new() };
        service.administrator = service.token(&["user", "admin"]);
        service
    }

    /// A token of somebody with these roles.
    pub fn token(&self, roles: &[&str]) -> String {
        sign(&self.issuer.key, &self.claims(roles))
    }

    pub fn claims(&self, roles: &[&str]) -> Claims {
        let now = self.clock.now().unix_timestamp();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Uuid::new_v4(),
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

    pub fn by_administrator(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&self.administrator)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn create(&self, body: &Value) -> Answer {
        let answer = self.send(self.by_administrator(Method::POST, "/v1/products").json(body)).await;
        self.description.check_request("POST", "/v1/products", body, &answer);
        answer
    }

    /// A product of this SKU, for 19.99 EUR; answers its id.
    pub async fn product(&self, sku: &str) -> Uuid {
        id_of(&self.create(&tea(sku)).await.expect(201))
    }

    /// As whoever has just read it.
    pub async fn change(&self, product: Uuid, body: &Value) -> Answer {
        let tag = self.tag(product).await;
        self.change_seen(product, &tag, body).await
    }

    /// As whoever saw this version of it.
    pub async fn change_seen(&self, product: Uuid, tag: &str, body: &Value) -> Answer {
        let request = self.by_administrator(Method::PATCH, &path(product)).header("if-match", tag);
        let answer = self.send(request.json(body)).await;
        self.description.check_request("PATCH", &path(product), body, &answer);
        answer
    }

    pub async fn discontinue(&self, product: Uuid) -> Answer {
        self.send(self.by_administrator(Method::DELETE, &path(product))).await
    }

    pub async fn tag(&self, product: Uuid) -> String {
        self.get(&path(product)).await.expect(200).header("etag").unwrap().to_owned()
    }

    /// What is in the outbox about a product, in the order of its versions.
    pub async fn envelopes_of(&self, product: Uuid) -> Vec<(Envelope, Value)> {
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT envelope FROM outbox WHERE subject = $1 ORDER BY envelope::jsonb ->> 'sequence', event_id",
        )
        .bind(product.to_string())
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

    pub async fn event_types_of(&self, product: Uuid) -> Vec<String> {
        self.envelopes_of(product).await.into_iter().map(|(envelope, _)| envelope.event_type).collect()
    }

    /// All that is stored: products as they are, and events.
    pub async fn stored(&self) -> (Vec<String>, i64) {
        let products = sqlx::query_scalar("SELECT p::text FROM products p ORDER BY id").fetch_all(&self.pool);
        let events = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&self.pool);
        (products.await.unwrap(), events.await.unwrap())
    }
}

async fn serve(router: Router, settings: &HttpSettings, stop: CancellationToken) -> String {
    let listener = http::bind("PRODUCT_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(http::serve(listener, router, settings.clone(), stop.clone(), stop));
    url
}

pub fn sign(key: &SigningKey, claims: &Claims) -> String {
    key.sign(claims).unwrap().expose_secret().to_owned()
}

pub fn path(product: Uuid) -> String {
    format!("/v1/products/{product}")
}

pub fn tea(sku: &str) -> Value {
    json!({
        "sku": sku, "name": "Darjeeling First Flush", "description": "Hand-picked, 100 g",
        "price": {"amountMinor": 1999, "currency": "EUR"},
    })
}

pub fn id_of(answer: &Answer) -> Uuid {
    answer.json()["productId"].as_str().unwrap().parse().unwrap()
}

pub async fn answer(response: Response) -> Answer {
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Answer { status, headers, text: response.text().await.unwrap() }
}
