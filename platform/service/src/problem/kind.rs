use axum::http::StatusCode;

/// A kind of problem that clients may rely on: what `type`, `title` and `status` of its documents are. A constant, so that
/// what an API answers and what its description says of it are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub status: StatusCode,
    /// Whose name it is.
    pub vocabulary: Vocabulary,
    /// `None` where the status says it all.
    pub name: Option<&'static str>,
    pub title: &'static str,
    /// What to do about it, where that is always the same.
    pub detail: Option<&'static str>,
}

/// Where a name is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    Waypost,
    /// The registry of HTTP problem types.
    Iana,
}

impl Kind {
    pub const fn named(status: StatusCode, name: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..Self::untold(status, name, title) }
    }

    /// What to do about it is said in each document.
    const fn untold(status: StatusCode, name: &'static str, title: &'static str) -> Self {
        Self { status, vocabulary: Vocabulary::Waypost, name: Some(name), title, detail: None }
    }

    const fn of(status: StatusCode, title: &'static str, detail: Option<&'static str>) -> Self {
        Self { status, vocabulary: Vocabulary::Waypost, name: None, title, detail }
    }

    /// The member `type` of its documents.
    pub fn urn(&self) -> String {
        match (self.name, self.vocabulary) {
            (None, _) => "about:blank".to_owned(),
            (Some(name), Vocabulary::Waypost) => format!("urn:waypost:problem:{name}"),
            (Some(name), Vocabulary::Iana) => format!("https://iana.org/assignments/http-problem-types#{name}"),
        }
    }
}

pub const MALFORMED_BODY: Kind = Kind::untold(StatusCode::BAD_REQUEST, "malformed-body", "The body can't be read");
pub const UNAUTHENTICATED: Kind = Kind::named(
    StatusCode::UNAUTHORIZED,
    "unauthenticated",
    "Who is asking is not known",
    "the header `authorization` should hold `Bearer` and an access token that is still good",
);
pub const FORBIDDEN: Kind =
    Kind::named(StatusCode::FORBIDDEN, "forbidden", "This account may not do that", "another role is needed for it");
pub const NOT_FOUND: Kind = Kind::of(StatusCode::NOT_FOUND, "Not Found", Some("there is nothing at this path"));
pub const OUTDATED: Kind = Kind::named(
    StatusCode::PRECONDITION_FAILED,
    "outdated",
    "It was changed since it was read",
    "read it again, and say its new `etag` in the header `if-match`",
);
pub const IF_MATCH_REQUIRED: Kind = Kind::named(
    StatusCode::PRECONDITION_REQUIRED,
    "if-match-required",
    "Which version is to be changed is not known",
    "the header `if-match` should hold the `etag` of what was read",
);
pub const REQUEST_TIMEOUT: Kind = Kind::of(StatusCode::REQUEST_TIMEOUT, "Request Timeout", None);
pub const PAYLOAD_TOO_LARGE: Kind =
    Kind::of(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large", Some("the body is too large"));
pub const UNSUPPORTED_MEDIA_TYPE: Kind = Kind::of(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "Unsupported Media Type",
    Some("the header `content-type` should be application/json"),
);
pub const INVALID_FIELDS: Kind =
    Kind::untold(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "Some fields are not valid");
/// RFC 6585, with the type that draft-ietf-httpapi-ratelimit-headers registers.
pub const QUOTA_EXCEEDED: Kind = Kind {
    status: StatusCode::TOO_MANY_REQUESTS,
    vocabulary: Vocabulary::Iana,
    name: Some("quota-exceeded"),
    title: "Too many requests",
    detail: Some("wait as long as the header `retry-after` says"),
};
pub const INTERNAL: Kind = Kind::of(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", None);
pub const OVERLOADED: Kind = Kind::untold(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too busy to answer now");
pub const UNAVAILABLE: Kind =
    Kind::untold(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Something this service needs is not there");
pub const TIMEOUT: Kind = Kind::named(
    StatusCode::SERVICE_UNAVAILABLE,
    "timeout",
    "This took too long",
    "the request was given up; whether it took effect is not known",
);

/// What any request may be answered with.
pub const ALWAYS: &[&Kind] = &[&INTERNAL, &UNAVAILABLE, &TIMEOUT];
/// Beside it, where there is a body.
pub const WITH_BODY: &[&Kind] =
    &[&MALFORMED_BODY, &REQUEST_TIMEOUT, &PAYLOAD_TOO_LARGE, &UNSUPPORTED_MEDIA_TYPE, &INVALID_FIELDS];
