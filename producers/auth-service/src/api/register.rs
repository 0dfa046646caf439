use std::time::Duration;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    http::TraceContext,
    postgres,
    problem::{FieldError, Json},
};
use utoipa::ToSchema;

use crate::{EmailAddress, HashError, Password, RegisterError, Registration};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterRequest {
    /// Upper and lower case are the same.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    /// Any characters. Does not contain the e-mail address.
    #[schema(
        value_type = String,
        format = Password,
        min_length = 15,
        max_length = 128,
        example = "correct horse battery"
    )]
    password: SecretString,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
}

const AGAIN_SOON: Duration = Duration::from_secs(1);

/// Register an account.
///
/// The answer is the same whether or not the address has an account already.
#[utoipa::path(
    post,
    path = "/v1/auth/register",
    tag = "accounts",
    request_body = RegisterRequest,
    responses(
        (status = ACCEPTED, description = "Taken", body = Accepted),
        (status = BAD_REQUEST, description = "Not a JSON object", body = Problem, content_type = "application/problem+json"),
        (status = REQUEST_TIMEOUT, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, description = "Fields are not valid", body = Problem, content_type = "application/problem+json"),
        (status = INTERNAL_SERVER_ERROR, description = "Our mistake", body = Problem, content_type = "application/problem+json"),
        (status = SERVICE_UNAVAILABLE, description = "Too busy, or a dependency is down", body = Problem, content_type = "application/problem+json",
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(super) async fn register(
    State(registration): State<Registration>,
    trace: TraceContext,
    Json(request): Json<RegisterRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (email, password) = request.validated()?;
    registration.register(email, password, trace.traceparent).await.map_err(|error| problem_of(&error))?;
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(Accepted { status: "accepted" })))
}

impl RegisterRequest {
    /// Both fields, or everything that is wrong with either.
    fn validated(&self) -> Result<(EmailAddress, Password), Problem> {
        let email = EmailAddress::parse(&self.email);
        let password = Password::parse(&self.password, email.as_ref().ok());
        match (email, password) {
            (Ok(email), Ok(password)) => Ok((email, password)),
            (email, password) => {
                let email = email.err().map(|error| FieldError::new("email", error.to_string()));
                let password = password.err().map(|error| FieldError::new("password", error.to_string()));
                Err(Problem::invalid_fields(email.into_iter().chain(password).collect()))
            }
        }
    }
}

fn problem_of(error: &RegisterError) -> Problem {
    match error {
        RegisterError::Hash(HashError::Busy) => Problem::overloaded(AGAIN_SOON),
        RegisterError::Database(source) if postgres::is_unavailable(source) => {
            tracing::warn!(error = %service::ErrorChain(error), "the database is not there");
            Problem::unavailable(AGAIN_SOON)
        }
        _ => Problem::internal(error),
    }
}
