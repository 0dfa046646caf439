//! Error answers: problem documents (RFC 9457), all of one shape, for every status an API of ours answers with.
//!
//! A problem names the field at fault and says what it should be. It never repeats what was sent, because answers end
//! up in logs and screenshots and a field may be a password; and it never says what went wrong inside, which is logged
//! once, where [`Problem::internal`] is made.

mod json;
pub mod kind;
pub mod openapi;
mod query;

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

pub use json::{Json, JsonText};
pub use kind::Kind;
pub use query::Query;

use crate::ErrorChain;

/// A problem document (RFC 9457), sent as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem: `urn:waypost:problem:<name>`, or `about:blank` where the status says it all.
    #[serde(rename = "type")]
    #[schema(example = "urn:waypost:problem:invalid-fields")]
    kind: String,
    /// The kind of problem, for people.
    #[schema(example = "Some fields are not valid")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What to do about this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Box<str>>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false, value_type = Vec<FieldError>)]
    errors: Box<[FieldError]>,
    /// The limits that were exceeded.
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false, value_type = Vec<String>, example = json!(["login-ip"]))]
    violated_policies: Box<[&'static str]>,
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path in the body.
    #[schema(example = "email")]
    pub field: String,
    /// What it should be.
    #[schema(example = "should be one address such as ada@example.com")]
    pub message: String,
}

pub const CONTENT_TYPE: &str = "application/problem+json";

impl Problem {
    /// Where the status says it all.
    pub fn of(status: StatusCode) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: None,
            errors: Box::default(),
            violated_policies: Box::default(),
            retry_after: None,
            challenge: None,
        }
    }

    pub fn new(kind: &Kind) -> Self {
        Self {
            kind: kind.urn(),
            title: kind.title,
            detail: kind.detail.map(Box::from),
            // RFC 9110, 15.5.2: no 401 without one.
            challenge: (kind.status == StatusCode::UNAUTHORIZED).then_some("Bearer"),
            ..Self::of(kind.status)
        }
    }

    #[must_use]
    pub(crate) fn violated_policies(self, violated_policies: Vec<&'static str>) -> Self {
        Self { violated_policies: violated_policies.into(), ..self }
    }

    /// A kind of problem with a name of its own, which clients may rely on.
    pub fn named(status: StatusCode, name: &str, title: &'static str) -> Self {
        Self { kind: format!("urn:waypost:problem:{name}"), title, ..Self::of(status) }
    }

    /// 422: the body can be read, but these fields are not what they should be.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self { errors: errors.into(), ..Self::new(&kind::INVALID_FIELDS) }
    }

    /// 503: too much at once. Trying again later helps.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::new(&kind::OVERLOADED).retry_after(retry_after)
    }

    /// 503: a dependency is not there. Trying again later helps.
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::new(&kind::UNAVAILABLE).retry_after(retry_after)
    }

    /// 401, with the challenge of RFC 6750: no token, or `invalid_token` where there was one.
    pub fn unauthenticated(had_token: bool) -> Self {
        let problem = Self::new(&kind::UNAUTHENTICATED);
        if had_token { Self { challenge: Some(r#"Bearer error="invalid_token""#), ..problem } } else { problem }
    }

    /// 500. The error goes to the log, with its sources; the client learns nothing of it.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %ErrorChain(error), "a request failed");
        Self::of(StatusCode::INTERNAL_SERVER_ERROR)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into());
        self
    }

    /// The header `Retry-After`, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let rounded_up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(rounded_up.max(1) as u32);
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
