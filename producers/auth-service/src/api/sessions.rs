use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    problem::{FieldError, Json},
    rate_limit::Throttle,
};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    problems::{INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN, administered},
    requests::{NOT_STORED, RefreshTokenRequest, email},
};
use crate::{
    By, Login, Origin, Password, Refreshing, Store, Tokens,
    limits::{LOGIN_ACCOUNT, REFRESH_SESSION},
    session::revoke,
};

/// An address and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    #[schema(value_type = String, format = Password, max_length = 128, example = "correct horse battery staple")]
    password: SecretString,
}

/// What to go on with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenResponse {
    /// For the header `authorization`.
    #[schema(example = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl")]
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token is good for, in seconds.
    #[schema(example = 600)]
    expires_in: i64,
    /// Good once: it gets a new access token, and its own successor.
    #[schema(example = "rt_0v3Vx2Rp0XGyo0oVSyM8fYwJYwqzvX6lVYl0m2c9k1E_1x2y3z")]
    refresh_token: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    refresh_token_expires_at: OffsetDateTime,
    session_id: Uuid,
}

impl From<Tokens> for TokenResponse {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.access_token_life.whole_seconds(),
            refresh_token: tokens.refresh_token.expose_secret().to_owned(),
            refresh_token_expires_at: tokens.refresh_token_expires_at,
            session_id: tokens.session_id,
        }
    }
}

/// Sign in.
///
/// Whatever the reason is that somebody is not let in, the answer is the same. The address has to be verified first.
#[utoipa::path(
    post,
    path = "/v1/auth/login",
    tag = "sessions",
    request_body = LoginRequest,
    responses((status = OK, description = "Signed in", body = TokenResponse,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-credentials", "body", "overloaded"])),
        ("x-limits" = json!(["login-ip", "login-account"]))
    )
)]
pub(super) async fn log_in(
    State(login): State<Arc<Login>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<LoginRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (email, password) = request.validated()?;
    let charged = throttle.admit(&[(&LOGIN_ACCOUNT, email.as_str())]).await?;
    let outcome = login.log_in(&email, password, &origin).await;
    if !matches!(outcome, Ok(None)) {
        // Nothing that went wrong in here was a wrong password.
        charged.refund();
    }
    match outcome? {
        Some(tokens) => Ok((NOT_STORED, Json(TokenResponse::from(tokens)))),
        None => Err(Problem::new(&INVALID_CREDENTIALS)),
    }
}

impl LoginRequest {
    fn validated(&self) -> Result<(crate::EmailAddress, Password), Problem> {
        let email = email("email", &self.email);
        let password =
            Password::attempt(&self.password).map_err(|error| FieldError::new("password", error.to_string()));
        match (email, password) {
            (Ok(email), Ok(password)) => Ok((email, password)),
            (email, password) => Err(Problem::invalid_fields(email.err().into_iter().chain(password.err()).collect())),
        }
    }
}

/// Go on with a session.
///
/// The refresh token is used up, and its successor is in the answer. Shown again within ten seconds, as by a client whose answer
/// was lost, it gets the same successor; shown again later, or once the successor was used, it ends the session.
#[utoipa::path(
    post,
    path = "/v1/auth/refresh",
    tag = "sessions",
    request_body = RefreshTokenRequest,
    responses((status = OK, description = "Gone on", body = TokenResponse,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-refresh-token", "body"])),
        ("x-limits" = json!(["refresh-ip", "refresh-session"]))
    )
)]
pub(super) async fn refresh(
    State(refreshing): State<Arc<Refreshing>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<RefreshTokenRequest>,
) -> Result<impl IntoResponse, Problem> {
    let Some(known) = refreshing.find(&request.refresh_token).await? else {
        let _ = throttle.admit(&[]).await?;
        return Err(Problem::new(&INVALID_REFRESH_TOKEN));
    };
    let _ = throttle.admit(&[(&REFRESH_SESSION, &known.session_id.to_string())]).await?;
    match refreshing.refresh(known, &request.refresh_token, &origin).await? {
        Some(tokens) => Ok((NOT_STORED, Json(TokenResponse::from(tokens)))),
        None => Err(Problem::new(&INVALID_REFRESH_TOKEN)),
    }
}

/// Sign out.
///
/// Ends the session of the refresh token. The answer is the same whatever the token is.
#[utoipa::path(
    post,
    path = "/v1/auth/logout",
    tag = "sessions",
    request_body = RefreshTokenRequest,
    responses((status = NO_CONTENT, description = "Signed out",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["body"])), ("x-limits" = json!(["refresh-ip"])))
)]
pub(super) async fn log_out(
    State(store): State<Arc<Store>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<RefreshTokenRequest>,
) -> Result<impl IntoResponse, Problem> {
    let _ = throttle.admit(&[]).await?;
    revoke::log_out(&store, &request.refresh_token, &origin).await?;
    Ok((StatusCode::NO_CONTENT, NOT_STORED))
}

/// Sign out everywhere.
///
/// Ends all sessions, this one too, and refuses all access tokens from before.
#[utoipa::path(
    post,
    path = "/v1/auth/logout-all",
    tag = "sessions",
    security(("accessToken" = [])),
    responses((status = NO_CONTENT, description = "Signed out",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "no-such-account"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn log_out_everywhere(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
) -> Result<impl IntoResponse, Problem> {
    // Not there where it was erased since its token was looked at.
    let outcome = revoke::log_out_everywhere(&store, caller.user_id, By::Owner, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}
