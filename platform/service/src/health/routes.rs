use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Health,
    checks::{Readiness, Status},
};
use crate::{problem::Json, telemetry::Metrics};

const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/livez`, `/readyz` and `/metrics`, with what they look like for OpenAPI.
pub fn routes(health: Health, metrics: Metrics) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .merge(OpenApiRouter::new().routes(routes!(readyz)).with_state(health))
        .merge(OpenApiRouter::new().routes(routes!(prometheus)).with_state(metrics))
}

/// Machines ask these every few seconds, so the access log leaves them out.
pub fn is_probe(route: &str) -> bool {
    matches!(route, "/livez" | "/readyz" | "/metrics")
}

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Liveness {
    /// Always `ok`.
    status: Status,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = OK, body = Liveness)))]
async fn livez() -> impl IntoResponse {
    (NOT_STORED, Json(Liveness { status: Status::Ok }))
}

/// Whether to send work here.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = OK, description = "Ready, perhaps with less than usual", body = Readiness),
        (status = SERVICE_UNAVAILABLE, description = "Stopping, or a dependency is down", body = Readiness),
    )
)]
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let readiness = health.readiness().await;
    let status = match readiness.status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, NOT_STORED, Json(readiness))
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = OK, body = String, content_type = "text/plain")))]
async fn prometheus(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render())
}
