use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, error::Category};
use serde_path_to_error::{Path, Segment};

use super::{FieldError, Problem, kind};
use crate::{card_number, http::BodyReadTimeout};

/// A JSON body, in and out. As an extractor it takes an object only, and answers whatever is wrong with a [`Problem`]
/// that names the field.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The text of a JSON body, for whoever looks at all of it before it is read for what it says. As an extractor it answers as
/// [`Json`] does.
#[derive(Debug, Clone)]
pub struct JsonText(Bytes);

const DEFAULT_BODY_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A field's name is the client's own text, so it is not repeated at any length.
const LONGEST_FIELD: usize = 64;

/// Stands for a name that is not repeated at all, because it may be a card's number.
const NAMELESS: &str = "(a name that is not repeated)";

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        JsonText::from_request(request, state).await?.read().map(Self)
    }
}

impl JsonText {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it says, or a [`Problem`] that names the field at fault.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read(&self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonText {
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
        Ok(Self(body))
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
    // A value of a kind that no enum is read from is a fault of syntax to serde_json, so whether it is one is asked again.
    if let Err(error) = &read
        && error.inner().classify() != Category::Data
        && serde_json::from_slice::<Value>(body).is_err()
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
    if card_number::is_in(&field) {
        return Problem::invalid_fields(vec![FieldError::new(NAMELESS, message)]);
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
        // There is the name of a variant without its content, to which the path leads.
        Some((_, "newtype variant" | "struct variant" | "tuple variant")) => "is missing".to_owned(),
        Some((_, expected)) => format!("should be {}", in_words_of_json(expected)),
        None => "is not valid".to_owned(),
    };
    (None, told)
}

/// What the type is called in the program is nobody's business.
fn in_words_of_json(expected: &str) -> &str {
    let begins_with = |kinds: &[&str]| kinds.iter().any(|kind| expected.starts_with(kind));
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        "map with a single key" => "an object with one field",
        "string or map" => "a string or an object",
        "field identifier" | "variant identifier" => "a string",
        "unit" => "null",
        _ if begins_with(&["struct ", "internally tagged enum ", "adjacently tagged enum "]) => "an object",
        _ if begins_with(&["a tuple of ", "tuple "]) => "an array",
        _ if expected.starts_with("enum ") => "a string or an object",
        _ if expected.starts_with("unit ") => "null",
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
