//! Who is asking.
//!
//! A token is checked by itself first, and then against the account and the session as they are at this moment: here, where
//! both are at hand, an account that was deactivated or a session that was ended is refused at once, and not only once its
//! access token runs out.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::counter;
use service::{
    Problem,
    access_token::{Verifier, bearer_token},
    http::TraceContext,
    problem::kind,
};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::problems;
use crate::{Failure, Origin, SigningKeys, Store, TokenIssuer};

/// Finds out who is asking. Cheap to clone.
#[derive(Clone)]
pub struct Authentication {
    store: Store,
    keys: SigningKeys,
    verifier: Verifier,
}

/// Who asks, and may.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub user_id: Uuid,
    pub session_id: Uuid,
    authenticated_at: OffsetDateTime,
    now: OffsetDateTime,
    is_administrator: bool,
}

/// How long after the password was proved what can't be undone is done without asking for it again (ASVS 7.5.1).
const FRESH: Duration = Duration::minutes(5);

impl Authentication {
    pub fn new(store: &Store, issuer: &TokenIssuer) -> Self {
        let verifier = Verifier::new(&issuer.issuer, &issuer.audience);
        Self { store: store.clone(), keys: issuer.keys.clone(), verifier }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(token) = bearer_token(headers) else { return Err(Problem::unauthenticated(false)) };
        let now = self.store.now();
        let claims = self.verifier.verify(token, &self.keys.published(now), now).map_err(|error| {
            counter!("access_tokens_refused_total").increment(1);
            tracing::debug!(%error, "an access token was refused");
            Problem::unauthenticated(true)
        })?;
        let standing = standing(&self.store.pool, claims.sub, claims.sid, now).await?;
        let Some(standing) = standing.filter(|standing| standing.min_token_version <= claims.ver) else {
            counter!("access_tokens_refused_total").increment(1);
            tracing::debug!("an access token's session or version has ended");
            return Err(Problem::unauthenticated(true));
        };
        Ok(Caller {
            user_id: claims.sub,
            session_id: claims.sid,
            authenticated_at: standing.authenticated_at,
            now,
            is_administrator: standing.is_administrator,
        })
    }
}

/// What is true of an account and a session of it now.
struct Standing {
    min_token_version: i64,
    authenticated_at: OffsetDateTime,
    is_administrator: bool,
}

async fn standing(
    pool: &PgPool,
    account: Uuid,
    session: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Standing>, Failure> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT u.min_token_version, s.authenticated_at,
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

pub(super) async fn authenticate(State(with): State<Authentication>, mut request: Request, next: Next) -> Response {
    match with.caller(request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Roles are looked up and not taken from the token: one that was revoked a moment ago is none.
pub(super) async fn authenticate_administrator(
    State(with): State<Authentication>,
    mut request: Request,
    next: Next,
) -> Response {
    match with.caller(request.headers()).await {
        Ok(caller) if caller.is_administrator => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(_) => Problem::new(&kind::FORBIDDEN).into_response(),
        Err(problem) => problem.into_response(),
    }
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
        let ip = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let request_id = trace.trace_id().to_owned();
        let origin = Self::new(trace.traceparent, request_id, ip, user_agent);
        Ok(match parts.extensions.get::<Caller>() {
            Some(caller) => origin.of_actor(caller.user_id),
            None => origin,
        })
    }
}
