//! Who is asking, and whether they may.
//!
//! A token is checked by itself first, by the keys that auth-service publishes, and then against the user's row as it is at
//! this moment on the primary: what was heard of an account ends its tokens at once, and not only when they run out. A user of
//! whom nothing was heard yet is let in.

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
    access_token::{Claims, PublishedKeys, Verifier, refused},
    problem::kind,
    rate_limit::{RateLimiter, Throttle, throttled},
};

use crate::{
    Refusal, Store,
    limits::USER,
    profile::{Caller, Profile},
};

/// What stands around routes. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    store: Store,
    keys: PublishedKeys,
    verifier: Verifier,
    limiter: RateLimiter,
    lets_in: LetsIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetsIn {
    Everybody,
    Administrators,
}

impl Gate {
    /// Lets everybody in who is somebody.
    pub fn new(store: Store, keys: PublishedKeys, verifier: Verifier, limiter: RateLimiter) -> Self {
        Self { store, keys, verifier, limiter, lets_in: LetsIn::Everybody }
    }

    pub fn for_whom(&self, lets_in: LetsIn) -> Self {
        Self { lets_in, ..self.clone() }
    }

    /// Also whoever is no administrator, but was deactivated or erased, is told that first.
    async fn admit(&self, claims: &Claims) -> Result<(Caller, Profile), Problem> {
        let caller = Caller { user_id: claims.sub, token_version: claims.ver };
        let profile = Profile::find(&self.store.pool, caller.user_id).await?;
        let profile = profile.unwrap_or_else(|| Profile::pending(caller.user_id, self.store.now()));
        caller.admit(&profile)?;
        let is_administrator = || claims.roles.iter().any(|role| role == Role::ADMIN.as_str());
        if self.lets_in == LetsIn::Administrators && !is_administrator() {
            return Err(Problem::new(&kind::FORBIDDEN));
        }
        Ok((caller, profile))
    }
}

/// Lets those in who may, and counts what each of them asks.
pub(super) async fn let_in(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
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
        match gate.admit(&claims).await {
            Ok((caller, profile)) => {
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(profile);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    })
    .await
}

/// Where a token's version has ended, between the layer and the lock too.
pub(super) fn revoked() -> Problem {
    refused(Refusal::Revoked)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Without the layer around its route, nobody is let in.
        parts.extensions.get::<Self>().copied().ok_or_else(|| Problem::unauthenticated(false))
    }
}

impl<S: Sync> FromRequestParts<S> for Profile {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthenticated(false))
    }
}
