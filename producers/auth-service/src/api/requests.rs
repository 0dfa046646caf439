//! Fields that several requests have.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{AppendHeaders, IntoResponse},
};
use schemas::Locale;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    problem::{FieldError, Json},
};
use utoipa::ToSchema;

use crate::EmailAddress;

/// What whoever may not learn more is answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
}

pub(super) fn accepted() -> impl IntoResponse {
    (StatusCode::ACCEPTED, NOT_STORED, Json(Accepted { status: "accepted" }))
}

pub(super) const NOT_STORED: AppendHeaders<[(header::HeaderName, &str); 1]> =
    AppendHeaders([(header::CACHE_CONTROL, "no-store")]);

/// An address, or what it should be.
pub(super) fn email(field: &str, text: &str) -> Result<EmailAddress, FieldError> {
    EmailAddress::parse(text).map_err(|error| FieldError::new(field, error.to_string()))
}

/// The answer to a request of which one field is wrong.
pub(super) fn invalid(field: &str, error: &impl ToString) -> Problem {
    Problem::invalid_fields(vec![FieldError::new(field, error.to_string())])
}

/// An address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailRequest {
    /// Upper and lower case are the same.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
}

impl EmailRequest {
    pub fn validated(&self) -> Result<EmailAddress, Problem> {
        email("email", &self.email).map_err(|error| Problem::invalid_fields(vec![error]))
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RefreshTokenRequest {
    #[schema(value_type = String, max_length = 256, example = "rt_0v3Vx2Rp0XGyo0oVSyM8fYwJYwqzvX6lVYl0m2c9k1E_1x2y3z")]
    pub refresh_token: SecretString,
}

/// The first language that the client prefers and that a locale can name.
pub(super) struct Preferred(pub Option<Locale>);

impl<S: Sync> FromRequestParts<S> for Preferred {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Ok(Self(header.and_then(preferred)))
    }
}

/// Of `Accept-Language` (RFC 9110, 12.5.4): the range of the greatest weight, the first of several.
fn preferred(header: &str) -> Option<Locale> {
    let weighed = header.split(',').filter_map(|range| {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = match parameters.trim().strip_prefix("q=") {
            Some(weight) => weight.parse().ok().filter(|weight: &f32| (0.0..=1.0).contains(weight))?,
            None => 1.0,
        };
        let locale: Locale = tag.trim().parse().ok()?;
        (weight > 0.0).then_some((weight, locale))
    });
    let best = weighed.fold(None, |best: Option<(f32, Locale)>, (weight, locale)| match best {
        Some((before, _)) if before >= weight => best,
        _ => Some((weight, locale)),
    });
    best.map(|(_, locale)| locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_the_greatest_weight_is_preferred() {
        for (header, want) in [
            ("de", Some("de")),
            ("de-AT, en;q=0.8", Some("de-AT")),
            ("en;q=0.8, de", Some("de")),
            ("fr;q=0.5,de;q=0.5", Some("fr")),
            ("*", None),
            ("*;q=0.9, pt-BR;q=0.5", Some("pt-BR")),
            ("de;q=0", None),
            ("de;q=7, en", Some("en")),
            ("", None),
            (";;,,q=1", None),
        ] {
            assert_eq!(preferred(header).as_ref().map(Locale::as_str), want, "{header}");
        }
    }
}
