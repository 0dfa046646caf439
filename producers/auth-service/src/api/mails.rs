use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use secrecy::SecretString;
use serde::Deserialize;
use service::{Problem, problem::Json, rate_limit::Throttle};
use utoipa::ToSchema;

use super::{
    problems::INVALID_TOKEN,
    requests::{Accepted, EmailRequest, NOT_STORED, accepted},
};
use crate::{Origin, Verification, limits::MAIL_ADDRESS};

/// The token of a link in a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyRequest {
    #[schema(value_type = String, max_length = 256, example = "evt_0v3Vx2Rp0XGyo0oVSyM8fYwJYwqzvX6lVYl0m2c9k1E_1x2y3z")]
    token: SecretString,
}

/// Verify an address.
///
/// With the token of a mail: the account's address is verified, or changed to the one that was asked for. A token is good once,
/// and by POST only: programs that look into mails follow links.
#[utoipa::path(
    post,
    path = "/v1/auth/email/verify",
    tag = "accounts",
    request_body = VerifyRequest,
    responses((status = NO_CONTENT, description = "The address is verified",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["invalid-token", "body"])), ("x-limits" = json!(["token-ip"])))
)]
pub(super) async fn verify_email(
    State(verification): State<Arc<Verification>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<VerifyRequest>,
) -> Result<impl IntoResponse, Problem> {
    let _ = throttle.admit(&[]).await?;
    match verification.verify(&request.token, &origin).await? {
        true => Ok((StatusCode::NO_CONTENT, NOT_STORED)),
        false => Err(Problem::new(&INVALID_TOKEN)),
    }
}

/// Ask for another mail to verify an address.
///
/// At most one goes in a minute. The answer is the same whether or not the address has an account that waits for it.
#[utoipa::path(
    post,
    path = "/v1/auth/email/resend",
    tag = "accounts",
    request_body = EmailRequest,
    responses((status = ACCEPTED, description = "Taken", body = Accepted,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["body"])), ("x-limits" = json!(["mail-ip", "mail-address"])))
)]
pub(super) async fn resend_verification(
    State(verification): State<Arc<Verification>>,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<EmailRequest>,
) -> Result<impl IntoResponse, Problem> {
    let email = request.validated()?;
    let _ = throttle.admit(&[(&MAIL_ADDRESS, email.as_str())]).await?;
    verification.resend(&email, &origin).await?;
    Ok(accepted())
}
