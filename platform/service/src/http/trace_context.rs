use std::{convert::Infallible, fmt::Display};

use axum::{extract::FromRequestParts, http::HeaderMap, http::request::Parts};

/// The W3C Trace Context of a request: the caller's trace, continued with a span of our own, or a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<our span>-<flags>`, to be passed on.
    pub traceparent: String,
}

/// The span of another process that a request continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller<'a> {
    pub trace_id: &'a str,
    pub span_id: &'a str,
    /// Those that we know.
    pub flags: u8,
}

const HEADER: &str = "traceparent";
/// `00-` and the trace id.
const TRACE_ID: std::ops::Range<usize> = 3..35;
const VERSION_0_LENGTH: usize = 55;
const SAMPLED: u8 = 1;

impl<'a> Caller<'a> {
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => read(value.to_str().ok()?),
            _ => None,
        }
    }
}

impl TraceContext {
    pub fn of(headers: &HeaderMap) -> Self {
        Self::called_by(Caller::of(headers))
    }

    pub fn start() -> Self {
        Self::called_by(None)
    }

    /// With a span that nobody hears of but those that it is passed on to.
    pub(super) fn called_by(caller: Option<Caller<'_>>) -> Self {
        let span_id = not_zero(rand::random::<u64>);
        let traceparent = match caller {
            Some(Caller { trace_id, flags, .. }) => format!("00-{trace_id}-{span_id:016x}-{flags:02x}"),
            None => format!("00-{:032x}-{span_id:016x}-{SAMPLED:02x}", not_zero(rand::random::<u128>)),
        };
        Self { traceparent }
    }

    pub(super) fn at(trace_id: impl Display, span_id: impl Display, flags: u8) -> Self {
        Self { traceparent: format!("00-{trace_id}-{span_id}-{:02x}", flags & SAMPLED) }
    }

    pub fn trace_id(&self) -> &str {
        &self.traceparent[TRACE_ID]
    }
}

/// A zero id is invalid.
fn not_zero<T: Default + PartialEq>(random: impl Fn() -> T) -> T {
    loop {
        let id = random();
        if id != T::default() {
            return id;
        }
    }
}

/// A header in this version or one to come, which may only append to it.
fn read(header: &str) -> Option<Caller<'_>> {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = header.splitn(5, '-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known_shape = hex(version, 2) && hex(trace_id, 32) && hex(span_id, 16) && hex(flags, 2);
    let known_version = version != "ff" && (version != "00" || header.len() == VERSION_0_LENGTH);
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    if !known_shape || !known_version || zero(trace_id) || zero(span_id) {
        return None;
    }
    Some(Caller { trace_id, span_id, flags: u8::from_str_radix(flags, 16).ok()? & SAMPLED })
}

/// What [`super::app`] put there; a new one on a router without it.
impl<S: Sync> FromRequestParts<S> for TraceContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn of(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        TraceContext::of(&headers)
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        for (header, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), "01"),
            (format!("00-{TRACE}-{SPAN}-00"), "00"),
            (format!("00-{TRACE}-{SPAN}-ff"), "01"),
            (format!("cc-{TRACE}-{SPAN}-01"), "01"),
            (format!("cc-{TRACE}-{SPAN}-00-what-the-future-holds"), "00"),
        ] {
            let ours = of(&[&header]);
            assert_eq!(ours.trace_id(), TRACE, "{header}");
            assert!(ours.traceparent.starts_with("00-") && ours.traceparent.ends_with(flags), "{header}: {ours:?}");
            assert!(!ours.traceparent.contains(SPAN), "{header}");
            assert_eq!(ours.traceparent.len(), VERSION_0_LENGTH);
        }
    }

    #[test]
    fn anything_else_starts_a_new_trace() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let zeros = (format!("00-{}-{SPAN}-01", "0".repeat(32)), format!("00-{TRACE}-{}-01", "0".repeat(16)));
        for headers in [
            vec![],
            vec![""],
            vec!["-"],
            vec![good.as_str(), good.as_str()],
            vec![&good[..54]],
            vec![&good.to_uppercase()],
            vec![&good.replace("00-", "ff-")],
            vec![&format!("{good}-more")],
            vec![&format!("{good}-")],
            vec![&format!("cc-{TRACE}-{SPAN}-01.more")],
            vec![&good.replace('-', "_")],
            vec![&zeros.0],
            vec![&zeros.1],
        ] {
            let ours = of(&headers);
            assert_ne!(ours.trace_id(), TRACE, "{headers:?}");
            assert!(read(&ours.traceparent).is_some(), "{ours:?}");
        }
        assert_ne!(of(&[]).trace_id(), of(&[]).trace_id());
    }
}
