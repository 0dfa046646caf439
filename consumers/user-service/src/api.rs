//! The HTTP side: routes, and what they look like in OpenAPI.
//!
//! Everything here is somebody's own, or an administrator's business. Who is asking is found out by one layer around all
//! routes, before anything of the request but its head is read; it asks the primary, so an account that is out of use or gone
//! is told so, whatever else is asked for.

mod addresses;
mod admin;
mod caller;
mod idempotency_key;
mod payment_methods;
mod preferences;
mod problems;
mod profile;
mod requests;
mod wishlist;

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

use caller::{Gate, LetsIn};

use crate::{Store, limits};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "user-service",
        description = "Profiles of users, and what they keep beside them.\n\nEvery error is a problem document (RFC 9457), \
                       which names the field at fault and never repeats what it held. A profile is built from what \
                       auth-service says of an account: until that has arrived it is `pending`, and what its user writes \
                       meanwhile is kept.\n\nAccess tokens are auth-service's. Signing out everywhere, another password or \
                       other roles end them here as soon as that is heard, and so does the end of the account; the end of \
                       one session alone is not heard here, so its access token is good until it expires, ten minutes at \
                       most.\n\nWhat may be the number of a card is refused, and neither kept, logged nor repeated; the \
                       number of a telephone is the one text that is not looked into. Lists may be a moment old."
    ),
    components(schemas(Problem)),
    modifiers(&AccessTokenScheme),
    tags(
        (name = "profile", description = "One's own profile"),
        (name = "addresses", description = "Where to send things, and bills"),
        (name = "payment methods", description = "What stands for a card"),
        (name = "preferences", description = "How one wants to be spoken to"),
        (name = "wishlist", description = "What one would like to have"),
        (name = "admin", description = "Profiles of others; for administrators"),
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

/// What the service needs in order to be ready, and what it is ready without: Redis, since limits are counted here then; the
/// replica, since lists are read from the primary then; and the keys of access tokens, which are asked for all the time.
pub fn health(store: &Store, keys: PublishedKeys, redis: Option<Redis>, soft: CancellationToken) -> Health {
    let pool = store.pool.clone();
    let mut health = Health::new(soft).check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    });
    if let Some(replica) = store.replica.clone() {
        health = health.check("replica", move || {
            let replica = replica.clone();
            async move {
                match postgres::check(&replica).await {
                    Condition::Ok => Condition::Ok,
                    _ => Condition::Degraded("no answer from the replica: lists are read from the primary"),
                }
            }
        });
    }
    let health = health.check("access-token-keys", move || {
        let are_there = keys.are_there();
        async move {
            match are_there {
                true => Condition::Ok,
                false => Condition::Degraded("the keys of access tokens were not read yet: nobody is let in"),
            }
        }
    });
    health.check("redis", move || {
        let redis = redis.clone();
        async move { redis::check(redis.as_ref()).await }
    })
}

/// Everything that user-service answers to strangers.
pub fn router(parts: Parts, settings: &HttpSettings) -> Router {
    let Parts { store, keys, parties, limiter } = parts;
    let verifier = Verifier::new(&parties.issuer, &parties.audience);
    let gate = Gate::new(store.clone(), keys, verifier, limiter);
    let guarded_by = |lets_in| from_fn_with_state(Arc::new(gate.for_whom(lets_in)), caller::let_in);
    let own = OpenApiRouter::new()
        .routes(routes!(profile::show, profile::change))
        .routes(routes!(addresses::list, addresses::create))
        .routes(routes!(addresses::show, addresses::change, addresses::remove))
        .routes(routes!(payment_methods::list, payment_methods::create))
        .routes(routes!(payment_methods::show, payment_methods::change, payment_methods::remove))
        .routes(routes!(preferences::show, preferences::replace))
        .routes(routes!(wishlist::list))
        .routes(routes!(wishlist::add, wishlist::remove))
        .with_state(store.clone())
        .layer(guarded_by(LetsIn::Everybody));
    let admin = OpenApiRouter::new()
        .routes(routes!(admin::user))
        .routes(routes!(admin::event_logs))
        .with_state(store)
        .layer(guarded_by(LetsIn::Administrators));
    let docs = Docs::default();
    let all = OpenApiRouter::with_openapi(Description::openapi()).merge(own).merge(admin).merge(docs.described());
    let (router, mut description) = all.split_for_parts();
    problem::openapi::describe(&mut description, problems::ALL);
    rate_limit::describe(&mut description, limits::ALL);
    let page = docs.page(&description);
    http::app(router.merge(page), settings)
}

/// What is for the inside only: health and metrics.
pub fn internal_router(health: Health, metrics: Metrics, settings: &HttpSettings) -> Router {
    http::app(health::routes(health, metrics).into(), &settings.for_the_inside())
}
