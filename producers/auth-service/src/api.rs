//! The HTTP side: routes, and what they look like in OpenAPI.

mod register;

use std::sync::Arc;

use axum::{Extension, Router};
use service::{
    health::{self, Health},
    http::{self, HttpSettings},
    postgres,
    problem::Json,
    telemetry::Metrics,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Registration;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "auth-service",
        description = "Accounts. Every error is a problem document (RFC 9457) that names the field at fault."
    ),
    tags((name = "accounts"), (name = "health"))
)]
struct Description;

/// What the service needs in order to be ready.
pub fn health(pool: PgPool, soft: CancellationToken) -> Health {
    Health::new(soft).check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    })
}

/// Everything that auth-service answers.
pub fn router(registration: Registration, health: Health, metrics: Metrics, settings: &HttpSettings) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(register::register))
        .with_state(registration)
        .merge(health::routes(health, metrics))
        .routes(routes!(describe))
        .split_for_parts();
    http::app(router.layer(Extension(Arc::new(description))), settings)
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = OK, body = Object)))]
async fn describe(Extension(description): Extension<Arc<openapi::OpenApi>>) -> Json<Arc<openapi::OpenApi>> {
    Json(description)
}
