//! Who is asking, and whether they may.
//!
//! There are no accounts here to look into, so roles are those that the token says; it says so for ten minutes at most.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use schemas::Role;
use service::{
    Problem,
    access_token::{PublishedKeys, Verifier},
    problem::kind,
    rate_limit::{RateLimiter, Throttle, throttled},
};

use crate::{Store, limits::USER};

/// What stands around the routes of administrators. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    store: Store,
    keys: PublishedKeys,
    verifier: Verifier,
    limiter: RateLimiter,
}

/// Whoever asks is an administrator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Administrator;

impl Gate {
    pub fn new(store: Store, keys: PublishedKeys, verifier: Verifier, limiter: RateLimiter) -> Self {
        Self { store, keys, verifier, limiter }
    }
}

/// Lets administrators in, and counts what each caller asks.
pub(super) async fn let_administrators_in(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let claims = match gate.keys.claims(&gate.verifier, request.headers(), gate.store.now()).await {
        Ok(claims) => claims,
        Err(problem) => return problem.into_response(),
    };
    let charge = gate.limiter.charge(&USER, &claims.sub.to_string());
    let throttle = Throttle::new(&gate.limiter, vec![charge]);
    let counted = throttle.clone();
    throttled(throttle, request, async |mut request: Request| {
        if let Err(problem) = counted.admit(&[]).await {
            return problem.into_response();
        }
        if !claims.roles.iter().any(|role| role == Role::ADMIN.as_str()) {
            return Problem::new(&kind::FORBIDDEN).into_response();
        }
        request.extensions_mut().insert(Administrator);
        next.run(request).await
    })
    .await
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Without the layer around its route, nobody is let in.
        parts.extensions.get::<Self>().copied().ok_or_else(|| Problem::unauthenticated(false))
    }
}
