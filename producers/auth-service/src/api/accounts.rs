use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use schemas::DisplayName;
use secrecy::SecretString;
use serde::Deserialize;
use service::{
    Problem,
    problem::{FieldError, Json},
    rate_limit::Throttle,
};
use utoipa::ToSchema;

use super::requests::{Accepted, Preferred, accepted, email, invalid};
use crate::{Applicant, Origin, PasswordPolicy, Registered, Registration};

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RegisterRequest {
    /// Upper and lower case are the same.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    /// Any characters; hard to guess, and without the e-mail address in it.
    #[schema(
        value_type = String,
        format = Password,
        min_length = 15,
        max_length = 128,
        example = "correct horse battery staple"
    )]
    password: SecretString,
    /// What to be called.
    #[schema(max_length = 100, example = "Ada", nullable = false)]
    #[serde(default)]
    display_name: Option<String>,
}

/// Register an account.
///
/// The answer is the same whether or not the address has an account already. A mail follows: to verify the address, or to
/// tell its owner that somebody wanted it.
#[utoipa::path(
    post,
    path = "/v1/auth/register",
    tag = "accounts",
    request_body = RegisterRequest,
    responses((status = ACCEPTED, description = "Taken", body = Accepted,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["body", "overloaded"])), ("x-limits" = json!(["register-ip"])))
)]
pub(super) async fn register(
    State((registration, policy)): State<(Arc<Registration>, PasswordPolicy)>,
    throttle: Throttle,
    origin: Origin,
    Preferred(locale): Preferred,
    Json(request): Json<RegisterRequest>,
) -> Result<impl IntoResponse, Problem> {
    let _ = throttle.admit(&[]).await?;
    let applicant = Applicant { locale, ..request.validated(policy)? };
    match registration.register(applicant, &origin).await? {
        Registered::Created(_) | Registered::KnownAlready => Ok(accepted()),
        Registered::Unfit(unfit) => Err(invalid("password", &unfit)),
    }
}

impl RegisterRequest {
    /// All fields, or everything that is seen to be wrong with any.
    fn validated(self, policy: PasswordPolicy) -> Result<Applicant, Problem> {
        let email = email("email", &self.email);
        let password = policy
            .check(&self.password, email.as_ref().ok())
            .map_err(|error| FieldError::new("password", error.to_string()));
        let display_name = self.display_name.map(DisplayName::try_from).transpose();
        let display_name =
            display_name.map_err(|error| FieldError::new("displayName", format!("should be {}", error.expected)));
        match (email, password, display_name) {
            (Ok(email), Ok(password), Ok(display_name)) => {
                Ok(Applicant { email, password, display_name, locale: None })
            }
            (email, password, display_name) => {
                let wrong = [email.err(), password.err(), display_name.err()];
                Err(Problem::invalid_fields(wrong.into_iter().flatten().collect()))
            }
        }
    }
}
