use axum::http::StatusCode;

/// A kind of problem that clients may rely on: what `type`, `title` and `status` of its documents are. A constant, so that
/// what an API answers and what its description says of it are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub status: StatusCode,
    /// `urn:waypost:problem:<name>`; `None` where the status says it all.
    pub name: Option<&'static str>,
    pub title: &'static str,
    /// What to do about it, where that is always the same.
    pub detail: Option<&'static str>,
}

impl Kind {
    pub const fn named(status: StatusCode, name: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self { status, name: Some(name), title, detail: Some(detail) }
    }

    const fn of(status: StatusCode, title: &'static str, detail: Option<&'static str>) -> Self {
        Self { status, name: None, title, detail }
    }

    /// The member `type` of its documents.
    pub fn urn(&self) -> String {
        self.name.map_or_else(|| "about:blank".to_owned(), |name| format!("urn:waypost:problem:{name}"))
    }
}

pub const MALFORMED_BODY: Kind = Kind {
    status: StatusCode::BAD_REQUEST,
    name: Some("malformed-body"),
    title: "The body can't be read",
    detail: None,
};
pub const UNAUTHENTICATED: Kind = Kind::named(
    StatusCode::UNAUTHORIZED,
    "unauthenticated",
    "Who is asking is not known",
    "the header `authorization` should hold `Bearer` and an access token that is still good",
);
pub const FORBIDDEN: Kind =
    Kind::named(StatusCode::FORBIDDEN, "forbidden", "This account may not do that", "another role is needed for it");
pub const NOT_FOUND: Kind = Kind::of(StatusCode::NOT_FOUND, "Not Found", Some("there is nothing at this path"));
pub const REQUEST_TIMEOUT: Kind = Kind::of(StatusCode::REQUEST_TIMEOUT, "Request Timeout", None);
pub const PAYLOAD_TOO_LARGE: Kind =
    Kind::of(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large", Some("the body is too large"));
pub const UNSUPPORTED_MEDIA_TYPE: Kind = Kind::of(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "Unsupported Media Type",
    Some("the header `content-type` should be application/json"),
);
pub const INVALID_FIELDS: Kind = Kind {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    name: Some("invalid-fields"),
    title: "Some fields are not valid",
    detail: None,
};
pub const INTERNAL: Kind = Kind::of(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", None);
pub const OVERLOADED: Kind = Kind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    name: Some("overloaded"),
    title: "Too busy to answer now",
    detail: None,
};
pub const UNAVAILABLE: Kind = Kind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    name: Some("unavailable"),
    title: "Something this service needs is not there",
    detail: None,
};
pub const TIMEOUT: Kind = Kind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    name: Some("timeout"),
    title: "This took too long",
    detail: Some("the request was given up; whether it took effect is not known"),
};

/// What any request may be answered with.
pub const ALWAYS: &[&Kind] = &[&INTERNAL, &UNAVAILABLE, &TIMEOUT];
/// Beside it, where there is a body.
pub const WITH_BODY: &[&Kind] =
    &[&MALFORMED_BODY, &REQUEST_TIMEOUT, &PAYLOAD_TOO_LARGE, &UNSUPPORTED_MEDIA_TYPE, &INVALID_FIELDS];
