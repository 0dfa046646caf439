//! The HTTP side: routes, and what they look like in OpenAPI.
//!
//! Reading is for everybody; changing is for administrators. Who is asking is found out by one layer around all routes that
//! need to know, before anything of the request but its head is read.

mod caller;
mod changing;
mod problems;
mod reading;
mod requests;

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state};
use service::{
    access_token::{AccessTokenScheme, Parties, PublishedKeys, Verifier},
    docs::Docs,
    health::{self, Condition, Health},
    http::{self, HttpSettings},
    postgres,
    problem::{self, Problem},
    rate_limit::{self, RateLimiter},
    redis::{self, Redis},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use requests::PriceBody;

use crate::{
    Store,
    limits::{self, PRODUCTS_IP},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "product-service",
        description = "The catalogue of products.\n\nEvery error is a problem document (RFC 9457), which names the field at \
                       fault and never repeats what it held. Money is an amount in the smallest unit of its currency and a \
                       code of ISO 4217: 1999 is 19.99 EUR, and 1999 JPY.\n\nAdministrators are who auth-service says they \
                       are, in access tokens that are good for ten minutes: whoever was one a moment ago can act as one \
                       until their token expires."
    ),
    components(schemas(Problem)),
    modifiers(&AccessTokenScheme),
    tags(
        (name = "products", description = "Reading the catalogue"),
        (name = "admin", description = "Changing it; for administrators"),
        (name = "description", description = "This description"),
    )
)]
struct Description;

/// What the routes stand on.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    /// Those that access tokens are checked with; somebody has to keep them fresh.
    pub keys: PublishedKeys,
    pub parties: Parties,
    pub limiter: RateLimiter,
}

/// A description of 4,000 characters, each of four bytes, and each written as two escapes of six.
const BODY_LIMIT: usize = 64 * 1_024;

/// What the service needs in order to be ready, and what it is ready without: Redis; and the keys of access tokens, since
/// everybody can read without one.
pub fn health(store: &Store, keys: PublishedKeys, redis: Option<Redis>, soft: CancellationToken) -> Health {
    let pool = store.pool.clone();
    let health = Health::new(soft).check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    });
    let health = health.check("access-token-keys", move || {
        let are_there = keys.are_there();
        async move {
            match are_there {
                true => Condition::Ok,
                false => Condition::Degraded("the keys of access tokens were not read yet: nobody can change anything"),
            }
        }
    });
    health.check("redis", move || {
        let redis = redis.clone();
        async move { redis::check(redis.as_ref()).await }
    })
}

/// Everything that product-service answers to strangers.
pub fn router(parts: Parts, settings: &HttpSettings) -> Router {
    let Parts { store, keys, parties, limiter } = parts;
    let verifier = Verifier::new(&parties.issuer, &parties.audience);
    let gate = caller::Gate::new(store.clone(), keys, verifier, limiter.clone());
    let reading = OpenApiRouter::new()
        .routes(routes!(reading::list))
        .routes(routes!(reading::show))
        .with_state(store.clone())
        .layer(from_fn_with_state((limiter, &PRODUCTS_IP), rate_limit::by_network));
    let changing = OpenApiRouter::new()
        .routes(routes!(changing::create))
        .routes(routes!(changing::change, changing::discontinue))
        .with_state(store)
        .layer(from_fn_with_state(Arc::new(gate), caller::let_administrators_in));
    let docs = Docs::default();
    let all =
        OpenApiRouter::with_openapi(Description::openapi()).merge(reading).merge(changing).merge(docs.described());
    let (router, mut description) = all.split_for_parts();
    problem::openapi::describe(&mut description, problems::ALL);
    rate_limit::describe(&mut description, limits::ALL);
    let page = docs.page(&description);
    let settings = HttpSettings { body_limit: BODY_LIMIT, ..settings.clone() };
    http::app(router.merge(page), &settings)
}

/// What is for the inside only: health and metrics.
pub fn internal_router(health: Health, metrics: Metrics, settings: &HttpSettings) -> Router {
    http::app(health::routes(health, metrics).into(), &settings.for_the_inside())
}
