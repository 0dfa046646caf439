//! What the API is measured beside: handlers that run its statements, and do nothing else.
//!
//! `axum::serve` and a pool of as many connections. No token is looked at, nothing is counted, logged or traced; values are
//! sent finished or known beforehand, rows are taken from the driver and not decoded, and the answer is a text of as many
//! bytes. Passwords are hashed beside the runtime, as many at once as there are cores. A statement that concerns fewer rows than it
//! should is an error: what finds nothing is fast.

use std::{collections::BTreeMap, fs, net::SocketAddr, num::NonZero, sync::Arc, thread};

use anyhow::Context;
use argon2::PasswordHasher;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
    serve::ListenerExt,
};
use schemas::{Clock, event_id};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, postgres::PgPoolOptions};
use time::{Duration, OffsetDateTime};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::spawn_blocking,
};
use uuid::Uuid;

use super::accounts::argon2;

/// The argument by which this program serves them.
pub const BARE_HANDLERS: &str = "serve-bare-handlers";
/// Where to listen.
pub const LISTEN: &str = "BENCH_LISTEN";
/// The file that says what to serve: a [`Plan`].
pub const PLAN: &str = "BENCH_PLAN";
/// Whose statements they run.
pub const DATABASE: &str = "BENCH_DATABASE_URL";
pub const READY_PATH: &str = "/";
/// As the APIs have in development.
const CONNECTIONS: u32 = 10;

/// Endpoints by their names, which are their paths.
pub type Plan = BTreeMap<String, Endpoint>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub steps: Vec<Step>,
    pub status: u16,
    pub answer_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// A statement on any connection of the pool.
    Alone(Statement),
    /// A transaction.
    Together(Vec<Statement>),
    /// Argon2id of this password.
    Hash(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub sql: Arc<str>,
    pub values: Vec<Value>,
    /// At least as many are found or changed.
    pub rows: u64,
}

/// What is bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Uuid(Uuid),
    Text(String),
    Bytes(Vec<u8>),
    Int(i32),
    Long(i64),
    Float(f64),
    Texts(Vec<String>),
    Ints(Vec<i32>),
    NoUuid,
    NoText,
    NoBytes,
    NoTime,
    Now,
    /// So many days from now.
    In(i64),
    Fresh,
    /// So many of them.
    Freshes(usize),
    /// The password's, which was hashed before.
    Hash,
    /// The one of this number in the request's body.
    Given(usize),
}

#[derive(Clone)]
struct Handler {
    pool: PgPool,
    hashing: Arc<Semaphore>,
    endpoint: Arc<Endpoint>,
    answer: Bytes,
}

/// What a request has at hand.
struct Known {
    given: Vec<Value>,
    now: OffsetDateTime,
    hash: Option<String>,
}

/// Until SIGTERM.
pub async fn serve() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let plan: Plan = serde_json::from_slice(&fs::read(variable(PLAN)?)?)?;
    let options = PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = options.connect(&variable(DATABASE)?).await?;
    let hashing = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)));
    let mut router = Router::new().route(READY_PATH, any(async || ""));
    for (name, endpoint) in plan {
        let answer = match endpoint.answer_bytes {
            0 => Bytes::new(),
            bytes => Bytes::from(format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)))),
        };
        let handler = Handler { pool: pool.clone(), hashing: hashing.clone(), endpoint: Arc::new(endpoint), answer };
        router = router.route(&format!("/{name}"), any(handle).with_state(handler));
    }
    let listener = TcpListener::bind(variable(LISTEN)?.parse::<SocketAddr>()?).await?;
    // As the APIs do; without it, answers wait.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let mut terminated = signal(SignalKind::terminate())?;
    #[expect(clippy::disallowed_methods, reason = "what others would write is what is measured beside")]
    let served = axum::serve(listener, router);
    Ok(served.with_graceful_shutdown(async move { terminated.recv().await.unwrap_or_default() }).await?)
}

async fn handle(State(handler): State<Handler>, body: Bytes) -> Response {
    match handler.answer(&body).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

impl Handler {
    async fn answer(self, body: &[u8]) -> anyhow::Result<Response> {
        let given = if body.is_empty() { Vec::new() } else { serde_json::from_slice(body)? };
        let mut known = Known { given, now: Clock::system().now(), hash: None };
        for step in &self.endpoint.steps {
            match step {
                Step::Alone(statement) => statement.run(&self.pool, &known).await?,
                Step::Together(statements) => {
                    let mut tx = self.pool.begin().await?;
                    for statement in statements {
                        statement.run(&mut *tx, &known).await?;
                    }
                    tx.commit().await?;
                }
                Step::Hash(password) => {
                    let _place = self.hashing.acquire().await?;
                    let password = password.clone();
                    let hash =
                        spawn_blocking(move || anyhow::Ok(argon2()?.hash_password(password.as_bytes())?.to_string()));
                    known.hash = Some(hash.await??);
                }
            }
        }
        let status = StatusCode::from_u16(self.endpoint.status)?;
        Ok((status, [(header::CONTENT_TYPE, "application/json")], self.answer).into_response())
    }
}

impl Statement {
    async fn run(&self, on: impl Executor<'_, Database = Postgres>, known: &Known) -> anyhow::Result<()> {
        let Known { given, now, hash } = known;
        let mut query = sqlx::query(AssertSqlSafe(self.sql.clone()));
        for value in &self.values {
            let value = match value {
                Value::Given(number) => given.get(*number).context("the request gives fewer values")?,
                known => known,
            };
            query = match value {
                Value::Uuid(id) => query.bind(*id),
                Value::Text(text) => query.bind(text.as_str()),
                Value::Bytes(bytes) => query.bind(bytes.as_slice()),
                Value::Int(number) => query.bind(*number),
                Value::Long(number) => query.bind(*number),
                Value::Float(number) => query.bind(*number),
                Value::Texts(texts) => query.bind(texts.as_slice()),
                Value::Ints(numbers) => query.bind(numbers.as_slice()),
                Value::NoUuid => query.bind(None::<Uuid>),
                Value::NoText => query.bind(None::<String>),
                Value::NoBytes => query.bind(None::<Vec<u8>>),
                Value::NoTime => query.bind(None::<OffsetDateTime>),
                Value::Now => query.bind(*now),
                Value::In(days) => query.bind(*now + Duration::days(*days)),
                Value::Fresh => query.bind(event_id(*now)),
                Value::Freshes(count) => query.bind((0..*count).map(|_| event_id(*now)).collect::<Vec<_>>()),
                Value::Hash => query.bind(hash.as_deref()),
                Value::Given(_) => anyhow::bail!("what is given is given by nobody else"),
            };
        }
        let rows = query.execute(on).await?.rows_affected();
        anyhow::ensure!(rows >= self.rows, "{rows} rows instead of {} by {}", self.rows, self.sql);
        Ok(())
    }
}
