//! auth-service over HTTP, on a real database of each test's own.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod refusals;
mod registering;
mod serving;
mod starting;

use std::time::Duration;

use auth_service::{HashLimits, PasswordHasher, Registration};
use fixtures::TestDatabase;
use outbox::{OUTBOX, Wake};
use reqwest::{Client, Response};
use schemas::Clock;
use serde_json::{Value, json};
use service::{
    http::{self, HttpSettings},
    telemetry::Metrics,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "correct horse battery staple";

/// The whole service on a port of its own.
struct Service {
    pool: PgPool,
    url: String,
    client: Client,
}

/// Nobody is turned away, however slow the machine is.
fn patient() -> HashLimits {
    HashLimits { wait: Duration::from_mins(1), ..HashLimits::default() }
}

async fn database() -> TestDatabase {
    let database = fixtures::auth_database().await;
    partitions::maintain(&database.pool, OUTBOX, Clock::system().now()).await.unwrap();
    database
}

impl Service {
    async fn start() -> Self {
        Self::over(database().await.pool, patient()).await
    }

    async fn over(pool: PgPool, limits: HashLimits) -> Self {
        let registration = Registration::new(pool.clone(), PasswordHasher::new(limits), Wake::none(), Clock::system());
        let stop = CancellationToken::new();
        let health = auth_service::health(pool.clone(), stop.clone());
        let settings = HttpSettings { request_timeout: Duration::from_mins(1), ..HttpSettings::default() };
        let router = auth_service::router(registration, health, Metrics::start("test").unwrap(), &settings);
        let listener = http::bind("AUTH_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(http::serve(listener, router, settings, stop.clone(), stop));
        Self { pool, url, client: Client::new() }
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn post(&self, body: &Value) -> Response {
        self.client.post(format!("{}/v1/auth/register", self.url)).json(body).send().await.unwrap()
    }

    async fn register(&self, email: &str) -> Response {
        self.post(&json!({"email": email, "password": PASSWORD})).await
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// Accounts, roles given, events.
    async fn counts(&self) -> (i64, i64, i64) {
        (self.count("users").await, self.count("user_roles").await, self.count("outbox").await)
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
