//! Who is asking.
//!
//! A token is checked by itself first, and then against the account and the session as they are at this moment: here, where
//! both are at hand, an account that was deactivated or a session that was ended is refused at once, and not only once its
//! access token runs out.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use service::{
    Problem,
    access_token::{Claims, Verifier, bearer_token, refused},
    cache::Version,
    http::{ClientAddress, TraceContext},
    postgres::Pool,
    problem::kind,
    rate_limit::{RateLimiter, Throttle, throttled},
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::problems;
use crate::{Failure, Origin, SigningKeys, Store, TokenIssuer, account::profiles::FetchedProfile, limits::USER};

/// Finds out who is asking. Cheap to clone.
#[derive(Clone)]
pub struct Authentication {
    store: Store,
    keys: SigningKeys,
    verifier: Verifier,
    limiter: RateLimiter,
}

/// What stands around some routes.
#[derive(Clone)]
pub struct Gate {
    authentication: Authentication,
    lets_in: LetsIn,
    counts: Counts,
    fetches_profile: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetsIn {
    Everybody,
    Administrators,
}

/// When a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Before its user is looked up.
    AtOnce,
    /// By its handler, which counts it by more than its user.
    InHandler,
}

/// Who asks, and may.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub user_id: Uuid,
    pub session_id: Uuid,
    /// Of the account's row.
    pub version: Version,
    authenticated_at: OffsetDateTime,
    now: OffsetDateTime,
    is_administrator: bool,
}

/// How long after the password was proved what can't be undone is done without asking for it again (ASVS 7.5.1).
const FRESH: Duration = Duration::minutes(5);

impl Authentication {
    pub fn new(store: &Store, issuer: &TokenIssuer, limiter: &RateLimiter) -> Self {
        let verifier = Verifier::new(&issuer.issuer, &issuer.audience);
        Self { store: store.clone(), keys: issuer.keys.clone(), verifier, limiter: limiter.clone() }
    }

    pub fn gate(&self, lets_in: LetsIn, counts: Counts) -> Gate {
        Gate { authentication: self.clone(), lets_in, counts, fetches_profile: false }
    }

    /// Whose token it is, if it is one of ours and still good by itself.
    fn claims(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<Arc<Claims>, Problem> {
        let Some(token) = bearer_token(headers) else { return Err(Problem::unauthenticated(false)) };
        self.verifier.verify(token, &self.keys.published(now).set, now).map_err(refused)
    }

    async fn caller(&self, claims: &Claims, now: OffsetDateTime) -> Result<Caller, Problem> {
        let standing = standing(&self.store.pool, claims.sub, claims.sid, now).await?;
        let Some(standing) = standing.filter(|standing| standing.min_token_version <= claims.ver) else {
            return Err(refused("its session or its version has ended"));
        };
        Ok(Caller {
            user_id: claims.sub,
            session_id: claims.sid,
            version: Version(standing.sequence),
            authenticated_at: standing.authenticated_at,
            now,
            is_administrator: standing.is_administrator,
        })
    }
}

/// What is true of an account and a session of it now.
struct Standing {
    sequence: i64,
    min_token_version: i64,
    authenticated_at: OffsetDateTime,
    is_administrator: bool,
}

async fn standing(pool: &Pool, account: Uuid, session: Uuid, now: OffsetDateTime) -> Result<Option<Standing>, Failure> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT u.sequence, u.min_token_version, s.authenticated_at,
                  EXISTS (SELECT FROM user_roles r WHERE r.user_id = u.id AND r.role = 'admin') AS "is_administrator!"
             FROM users u JOIN sessions s ON s.user_id = u.id
            WHERE u.id = $1 AND u.status = 'active' AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3"#,
        account,
        session,
        now
    )
    .fetch_optional(pool)
    .await?;
    Ok(standing)
}

impl Gate {
    /// For routes that show the caller's profile: what is kept of it is asked for together with the count, in one round trip to
    /// Redis.
    #[must_use]
    pub fn fetching_profile(self) -> Self {
        Self { fetches_profile: true, ..self }
    }

    async fn admit(&self, throttle: &Throttle) -> Result<(), Problem> {
        match self.counts {
            Counts::AtOnce => throttle.admit(&[]).await.map(drop),
            Counts::InHandler => Ok(()),
        }
    }

    async fn fetched_profile(&self, user: Uuid) -> Option<FetchedProfile> {
        if self.fetches_profile { Some(self.authentication.store.profiles().fetch(user).await) } else { None }
    }

    fn lets_in(&self, caller: &Caller) -> bool {
        self.lets_in == LetsIn::Everybody || caller.is_administrator
    }
}

/// Lets those in who may, and counts what each of them asks.
///
/// Roles are looked up and not taken from the token: one that was revoked a moment ago is none.
pub(super) async fn authenticate(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let authentication = &gate.authentication;
    let now = authentication.store.now();
    let claims = match authentication.claims(request.headers(), now) {
        Ok(claims) => claims,
        Err(problem) => return problem.into_response(),
    };
    let charge = authentication.limiter.charge(&USER, &claims.sub.to_string());
    let throttle = Throttle::new(&authentication.limiter, vec![charge]);
    let counted = throttle.clone();
    throttled(throttle, request, async |mut request: Request| {
        // Begun together, so that both go to Redis at once.
        let (admitted, profile) = tokio::join!(gate.admit(&counted), gate.fetched_profile(claims.sub));
        if let Err(problem) = admitted {
            return problem.into_response();
        }
        match authentication.caller(&claims, now).await {
            Ok(caller) if gate.lets_in(&caller) => {
                request.extensions_mut().insert(caller);
                if let Some(profile) = profile {
                    request.extensions_mut().insert(profile);
                }
                next.run(request).await
            }
            Ok(_) => Problem::new(&kind::FORBIDDEN).into_response(),
            Err(problem) => problem.into_response(),
        }
    })
    .await
}

impl Caller {
    pub fn fresh(&self) -> Result<(), Problem> {
        if self.now - self.authenticated_at <= FRESH {
            Ok(())
        } else {
            Err(Problem::new(&problems::REAUTHENTICATION_REQUIRED))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Without the layer around its route, nobody is let in.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthenticated(false))
    }
}

/// The trace, the network and the browser of a request, and who is asking where that was found out.
impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let trace = TraceContext::from_request_parts(parts, state).await?;
        let ip = ClientAddress::among(&parts.extensions).map(|ClientAddress(ip)| ip);
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let request_id = trace.trace_id().to_owned();
        let origin = Self::new(trace.traceparent().to_owned(), request_id, ip, user_agent);
        Ok(match parts.extensions.get::<Caller>() {
            Some(caller) => origin.of_actor(caller.user_id),
            None => origin,
        })
    }
}
