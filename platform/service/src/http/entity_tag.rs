//! Which version of a resource a client has in hand (RFC 9110, 8.8.3 and 13.1).
//!
//! A tag here is strong, and made of a number that each change raises. Who changes something says with `If-Match` which
//! version they saw, so that of two who saw the same one only one succeeds.

use std::{convert::Infallible, fmt};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};

use crate::problem::{Problem, kind};

/// The version of a resource, as the header `ETag` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag(i64);

/// What the headers `If-Match` or `If-None-Match` name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Any,
    /// With the quotes, and with `W/` before a weak one.
    Tags(Vec<String>),
}

/// The header `If-Match`, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Option<Named>);

/// The header `If-None-Match`, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(Option<Named>);

impl EntityTag {
    pub fn of_version(version: i64) -> Self {
        Self(version)
    }

    /// For an answer.
    pub fn header(self) -> (HeaderName, String) {
        (header::ETAG, self.to_string())
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl IfMatch {
    /// 428 where the client did not say which version it saw.
    pub fn required(self) -> Result<Self, Problem> {
        if self.0.is_some() { Ok(self) } else { Err(Problem::new(&kind::IF_MATCH_REQUIRED)) }
    }

    /// Whether what is there is what the client saw; true where it did not say. By strong comparison.
    pub fn holds_for(&self, tag: EntityTag) -> bool {
        match &self.0 {
            None | Some(Named::Any) => true,
            Some(Named::Tags(tags)) => tags.iter().any(|named| *named == tag.to_string()),
        }
    }
}

impl IfNoneMatch {
    /// Whether the client has what is there already. By weak comparison.
    pub fn names(&self, tag: EntityTag) -> bool {
        match &self.0 {
            None => false,
            Some(Named::Any) => true,
            Some(Named::Tags(tags)) => {
                tags.iter().any(|named| named.strip_prefix("W/").unwrap_or(named) == tag.to_string())
            }
        }
    }
}

/// What is no tag names nothing.
fn named(headers: &HeaderMap, name: &HeaderName) -> Option<Named> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let text: Vec<&str> = values.filter_map(|value: &HeaderValue| value.to_str().ok()).collect();
    let text = text.join(",");
    if text.trim() == "*" {
        return Some(Named::Any);
    }
    // A comma inside of a tag parts it into two texts that are none of ours.
    Some(Named::Tags(text.split(',').map(|tag| tag.trim().to_owned()).collect()))
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(named(&parts.headers, &header::IF_MATCH)))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(named(&parts.headers, &header::IF_NONE_MATCH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVEN: EntityTag = EntityTag(7);

    fn of(name: &HeaderName, values: &[&str]) -> Option<Named> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        named(&headers, name)
    }

    #[test]
    fn a_change_is_let_through_by_the_strong_tag_of_what_is_there_and_by_no_other() {
        let holds = |values: &[&str]| IfMatch(of(&header::IF_MATCH, values)).holds_for(SEVEN);
        for values in [&["\"7\""][..], &["*"], &[" \"6\" , \"7\""], &["\"6\"", "\"7\""], &[]] {
            assert!(holds(values), "{values:?}");
        }
        for values in [&["\"6\""][..], &["7"], &["W/\"7\""], &[""], &["\"77\""], &["*, \"6\""], &["\"6,7\""]] {
            assert!(!holds(values), "{values:?}");
        }
    }

    #[test]
    fn who_does_not_say_what_they_saw_is_asked_to() {
        assert_eq!(IfMatch(None).required(), Err(Problem::new(&kind::IF_MATCH_REQUIRED)));
        let said = IfMatch(of(&header::IF_MATCH, &["nonsense"]));
        assert_eq!(said.clone().required(), Ok(said));
    }

    #[test]
    fn what_a_client_has_is_compared_weakly() {
        let names = |values: &[&str]| IfNoneMatch(of(&header::IF_NONE_MATCH, values)).names(SEVEN);
        for values in [&["\"7\""][..], &["W/\"7\""], &["*"], &["\"1\", W/\"7\""]] {
            assert!(names(values), "{values:?}");
        }
        for values in [&[][..], &["\"6\""], &["7"], &["w/\"7\""], &[""]] {
            assert!(!names(values), "{values:?}");
        }
    }
}
