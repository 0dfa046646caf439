use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Health,
    checks::{Readiness, Status},
    pulses::Liveness,
};
use crate::{problem::Json, telemetry::Metrics};

const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/livez`, `/readyz` and `/metrics`, with what they look like for OpenAPI.
pub fn routes(health: Health, metrics: Metrics) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).with_state(health))
        .merge(OpenApiRouter::new().routes(routes!(prometheus)).with_state(metrics))
}

/// Machines ask these every few seconds, so the access log leaves them out.
pub fn is_probe(route: &str) -> bool {
    matches!(route, "/livez" | "/readyz" | "/metrics")
}

/// Whether the process lives.
///
/// No dependency has a say in it: restarting a process does not mend a database.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    responses(
        (status = OK, description = "It answers, and everything moves", body = Liveness),
        (status = SERVICE_UNAVAILABLE, description = "Something stands still: to be restarted", body = Liveness),
    )
)]
async fn livez(State(health): State<Health>) -> impl IntoResponse {
    let liveness = health.liveness();
    (code_of(liveness.status), NOT_STORED, Json(liveness))
}

fn code_of(status: Status) -> StatusCode {
    match status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    }
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
    (code_of(readiness.status), NOT_STORED, Json(readiness))
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = OK, body = String, content_type = "text/plain")))]
async fn prometheus(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render())
}
