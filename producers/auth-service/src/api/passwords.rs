use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use secrecy::SecretString;
use serde::Deserialize;
use service::{Problem, problem::Json, rate_limit::Throttle};
use utoipa::ToSchema;

use super::{
    caller::Caller,
    problems::{INVALID_TOKEN, WRONG_PASSWORD},
    requests::{Accepted, EmailRequest, NOT_STORED, accepted, invalid},
};
use crate::{
    Changed, Origin, Password, PasswordChange, PasswordReset, Reset,
    limits::{MAIL_ADDRESS, PASSWORD_ACCOUNT},
};

/// Ask for a mail to set a new password.
///
/// At most one goes in a minute. The answer is the same whether or not the address has an account.
#[utoipa::path(
    post,
    path = "/v1/auth/password/forgot",
    tag = "passwords",
    request_body = EmailRequest,
    responses((status = ACCEPTED, description = "Taken", body = Accepted,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["body"])), ("x-limits" = json!(["mail-ip", "mail-address"])))
)]
pub(super) async fn forgot_password(
    State(reset): State<Arc<PasswordReset>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<EmailRequest>,
) -> Result<impl IntoResponse, Problem> {
    let email = request.validated()?;
    let _ = throttle.admit(&[(&MAIL_ADDRESS, email.as_str())]).await?;
    reset.request(&email, &origin).await?;
    Ok(accepted())
}

/// The token of a link in a mail, and the password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetRequest {
    #[schema(value_type = String, max_length = 256, example = "prt_0v3Vx2Rp0XGyo0oVSyM8fYwJYwqzvX6lVYl0m2c9k1E_1x2y3z")]
    token: SecretString,
    /// As it is for registering.
    #[schema(value_type = String, format = Password, min_length = 15, max_length = 128, example = "she hums along to trams")]
    password: SecretString,
}

/// Set a new password.
///
/// With the token of a mail, which is good once. All sessions end and all access tokens are refused; nobody is signed in.
#[utoipa::path(
    post,
    path = "/v1/auth/password/reset",
    tag = "passwords",
    request_body = ResetRequest,
    responses((status = NO_CONTENT, description = "It is set",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-token", "body", "overloaded"])),
        ("x-limits" = json!(["token-ip"]))
    )
)]
pub(super) async fn reset_password(
    State(reset): State<Arc<PasswordReset>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<ResetRequest>,
) -> Result<impl IntoResponse, Problem> {
    let _ = throttle.admit(&[]).await?;
    match reset.reset(&request.token, &request.password, &origin).await? {
        Reset::Done => Ok((StatusCode::NO_CONTENT, NOT_STORED)),
        Reset::BadToken => Err(Problem::new(&INVALID_TOKEN)),
        Reset::Unfit(unfit) => Err(invalid("password", &unfit)),
    }
}

/// The password one has, and the one to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ChangeRequest {
    #[schema(value_type = String, format = Password, max_length = 128, example = "correct horse battery staple")]
    current_password: SecretString,
    /// As it is for registering.
    #[schema(value_type = String, format = Password, min_length = 15, max_length = 128, example = "she hums along to trams")]
    new_password: SecretString,
}

/// Change one's password.
///
/// All other sessions end. Access tokens from before are refused, this session's too: refresh it.
#[utoipa::path(
    post,
    path = "/v1/auth/password/change",
    tag = "passwords",
    security(("accessToken" = [])),
    request_body = ChangeRequest,
    responses((status = NO_CONTENT, description = "It is changed",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "wrong-password", "body", "overloaded"])),
        ("x-limits" = json!(["user", "password-account"]))
    )
)]
pub(super) async fn change_password(
    State(change): State<Arc<PasswordChange>>,
    caller: Caller,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<ChangeRequest>,
) -> Result<impl IntoResponse, Problem> {
    let current = Password::attempt(&request.current_password).map_err(|unfit| invalid("currentPassword", &unfit))?;
    let charged = throttle.admit(&[(&PASSWORD_ACCOUNT, &caller.user_id.to_string())]).await?;
    let outcome = change.change(caller.user_id, caller.session_id, current, &request.new_password, &origin).await;
    if !matches!(outcome, Ok(Changed::WrongPassword)) {
        charged.refund();
    }
    match outcome? {
        Changed::Done => Ok((StatusCode::NO_CONTENT, NOT_STORED)),
        Changed::WrongPassword => Err(Problem::new(&WRONG_PASSWORD)),
        Changed::Unfit(unfit) => Err(invalid("newPassword", &unfit)),
    }
}
