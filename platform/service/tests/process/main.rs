//! What this crate promises to whoever talks to a process: over real sockets where the socket matters.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod access_tokens;
mod addresses;
mod bare_answers;
mod browsers;
mod caching;
mod every_error;
mod health;
mod layers;
mod pools;
mod problems;
mod published_keys;
mod rate_limits;
mod redis_away;
mod server;
mod serving;
mod signals;
mod slowness;
mod tls;

use std::time::Duration;

use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// How long anything that should happen soon may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain: {what}"))
}

async fn ask(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

async fn get(app: &Router, path: &str) -> Response {
    ask(app, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
