use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::{FieldError, Problem, kind};
use crate::http::BodyReadTimeout;

/// A JSON body, in and out. As an extractor it takes an object only, and answers whatever is wrong with a [`Problem`]
/// that names the field.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

const DEFAULT_BODY_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A field's name is the client's own text, so it is not repeated at any length.
const LONGEST_FIELD: usize = 64;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE));
        }
        let limit = request.extensions().get().map_or(DEFAULT_BODY_READ_TIMEOUT, |BodyReadTimeout(limit)| *limit);
        let body = match tokio::time::timeout(limit, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => body,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Problem::new(&kind::PAYLOAD_TOO_LARGE));
            }
            Ok(Err(_)) => return Err(unreadable("the body broke off")),
            Err(_) => {
                let problem = Problem::new(&kind::REQUEST_TIMEOUT);
                return Err(problem.detail(format!("the body should arrive within {} s", limit.as_secs_f32())));
            }
        };
        read(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    if let Err(error) = &read
        && error.inner().classify() != Category::Data
    {
        return Err(malformed(error.inner()));
    }
    // Serde fills a struct from an array as well, by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(unreadable("the body should be an object"));
    }
    let value = read.map_err(|error| field_at_fault(error.path(), &error.inner().to_string()))?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

pub(super) fn field_at_fault(path: &Path, error: &str) -> Problem {
    let (last, message) = explain(error);
    let mut field = dotted(path);
    // The path leads to the object that lacks the field, or to the field itself.
    if let Some(last) = last.filter(|last| field != *last && !field.ends_with(&format!(".{last}"))) {
        field = if field.is_empty() { last } else { format!("{field}.{last}") };
    }
    let shown: String = field.chars().filter(|c| !c.is_control()).take(LONGEST_FIELD).collect();
    Problem::invalid_fields(vec![FieldError::new(shown, message)])
}

fn unreadable(detail: impl Into<String>) -> Problem {
    Problem::new(&kind::MALFORMED_BODY).detail(detail)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let what = match error.classify() {
        Category::Eof => "ends too early",
        _ => "is not valid JSON",
    };
    Problem::new(&kind::MALFORMED_BODY).detail(format!(
        "the body {what}, at line {}, column {}",
        error.line(),
        error.column()
    ))
}

/// Of serde's message: the field it names, if any, and what to tell the client.
///
/// The message quotes the value it stumbled over. Only what follows the last `expected` was written by the type.
fn explain(message: &str) -> (Option<String>, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    for (start, told) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "is there twice"),
        ("unknown field `", "is not a field of this request"),
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            let end =
                rest.find("`, expected ").or_else(|| rest.find("`, there are no fields")).or_else(|| rest.rfind('`'));
            return (end.map(|end| rest[..end].to_owned()), told.to_owned());
        }
    }
    let told = match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("should be {}", in_words_of_json(expected)),
        None => "is not valid".to_owned(),
    };
    (None, told)
}

fn in_words_of_json(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

fn dotted(path: &Path) -> String {
    path.iter().fold(String::new(), |before, segment| match segment {
        Segment::Seq { index } => format!("{before}[{index}]"),
        Segment::Map { key: name } | Segment::Enum { variant: name } if before.is_empty() => name.clone(),
        Segment::Map { key: name } | Segment::Enum { variant: name } => format!("{before}.{name}"),
        Segment::Unknown => before,
    })
}
