//! The header `Idempotency-Key`, which every POST has to have: whoever does not hear what became of one sends it again, and only
//! a key that was made up before the first time tells that it is the same.
//!
//! The draft has a string of structured fields in it, with quotes; most clients send the characters alone. Both are one key.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use metrics::counter;
use service::{Problem, card_number, problem::JsonText};

use super::problems::{CARD_NUMBER, KEY_REQUIRED};
use crate::{
    Refusal,
    idempotency::{Attempt, Made},
};

/// As the client made it up.
pub(super) struct IdempotencyKey(String);

const NAME: &str = "idempotency-key";
const LONGEST: usize = 255;

impl IdempotencyKey {
    /// The attempt that it stands for, at a request of this body.
    pub fn attempt(self, route: &'static str, body: &JsonText) -> Result<Attempt, Problem> {
        Attempt::new(route, self.0, body.as_bytes()).map_err(|error| Refusal::Answer(error).into())
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = read(&parts.headers).ok_or_else(|| Problem::new(&KEY_REQUIRED))?;
        if card_number::is_in(&key) { Err(holds_card_number()) } else { Ok(Self(key)) }
    }
}

/// The first time and any other, to the byte.
impl IntoResponse for Made {
    fn into_response(self) -> Response {
        // An array, unlike what appends, puts its headers in the place of those that there are.
        let headers = [
            (header::LOCATION, self.location),
            (header::ETAG, self.etag),
            (header::CONTENT_TYPE, "application/json".to_owned()),
        ];
        (StatusCode::CREATED, headers, self.body).into_response()
    }
}

/// Refuses a body that may hold a card's number, in whatever field, before anything else is said of it.
pub(super) fn without_card_number(body: JsonText) -> Result<JsonText, Problem> {
    if card_number::is_in_json(body.as_bytes()) { Err(holds_card_number()) } else { Ok(body) }
}

fn holds_card_number() -> Problem {
    counter!("card_numbers_refused_total").increment(1);
    Problem::new(&CARD_NUMBER)
}

fn read(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(NAME).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unescaped(rest.strip_suffix('"')?)?,
        None => text.to_owned(),
    };
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    ((1..=LONGEST).contains(&key.len()) && is_visible).then_some(key)
}

/// Of a string of structured fields (RFC 9651, 3.3.3), what is between its quotes.
fn unescaped(text: &str) -> Option<String> {
    let mut unescaped = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        unescaped.push(match c {
            '\\' => characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            c => c,
        });
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, value.parse().unwrap());
        }
        read(&headers)
    }

    #[test]
    fn a_key_is_one_string_in_quotes_or_not() {
        let longest = "x".repeat(255);
        for (value, wanted) in [
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (" a ", "a"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(key(&[value]).as_deref(), Some(wanted), "{value}");
        }
        let too_long = "x".repeat(256);
        for values in [
            &[][..],
            &[""],
            &["\"\""],
            &["a b"],
            &["\"a"],
            &["\""],
            &[r#""a\""#],
            &[r#""a"b""#],
            &[r#""a\b""#],
            &["a", "a"],
            &[too_long.as_str()],
        ] {
            assert_eq!(key(values), None, "{values:?}");
        }
    }
}
