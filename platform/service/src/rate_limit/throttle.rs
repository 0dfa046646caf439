use std::sync::{Arc, OnceLock};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Charge, Charged, Decision, RateLimiter, Rule, fields};
use crate::{
    http::ClientAddress,
    problem::{Problem, kind},
};

/// What one request is counted by. Its handler adds what only it knows, and has it counted before it does anything: all at
/// once, so that a request that one rule refuses is counted by no other.
#[derive(Clone)]
pub struct Throttle {
    limiter: RateLimiter,
    charges: Arc<[Charge]>,
    decided: Arc<OnceLock<Decision>>,
}

impl Throttle {
    pub fn new(limiter: &RateLimiter, charges: Vec<Charge>) -> Self {
        Self { limiter: limiter.clone(), charges: charges.into(), decided: Arc::default() }
    }

    /// Counts the request by what is known of it from its head, and by these.
    pub async fn admit(&self, more: &[(&Rule, &str)]) -> Result<Charged, Problem> {
        let more = more.iter().map(|(rule, whom)| self.limiter.charge(rule, whom));
        let charges: Vec<_> = self.charges.iter().cloned().chain(more).collect();
        let (decision, counted) = self.limiter.decide(&charges).await;
        let is_allowed = decision.is_allowed;
        let decision = self.decided.get_or_init(|| decision);
        if is_allowed { Ok(counted) } else { Err(refusal(decision)) }
    }
}

fn refusal(decision: &Decision) -> Problem {
    let violated = decision.violated().map(|standing| standing.rule.name).collect();
    Problem::new(&kind::QUOTA_EXCEEDED)
        .violated_policies(violated)
        .retry_after(decision.retry_after().unwrap_or_default())
}

/// Around routes whose requests are counted by the network that they come from.
pub async fn by_network(
    State((limiter, rule)): State<(RateLimiter, &'static Rule)>,
    client: ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    let charge = limiter.charge(rule, &client.network().to_string());
    throttled(Throttle::new(&limiter, vec![charge]), request, async |request| next.run(request).await).await
}

/// Runs the request with its limits at hand, and tells in the answer how they stand.
///
/// One that is known to be refused is not even read. One that its handler did not come to count, since its body could not be
/// read, is counted afterwards.
pub async fn throttled(
    throttle: Throttle,
    mut request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    if let Some(decision) = throttle.limiter.known_refusal(&throttle.charges) {
        let mut response = refusal(&decision).into_response();
        fields::set(response.headers_mut(), &decision);
        return response;
    }
    request.extensions_mut().insert(throttle.clone());
    let mut response = answer(request).await;
    if throttle.decided.get().is_none()
        && let Err(refused) = throttle.admit(&[]).await
    {
        response = refused.into_response();
    }
    if let Some(decision) = throttle.decided.get() {
        fields::set(response.headers_mut(), decision);
    }
    response
}

impl<S: Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A route that counts and has no layer is a mistake in the program; it must not go uncounted.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a route counts its requests and has no limits around it");
            Problem::new(&kind::INTERNAL)
        })
    }
}
