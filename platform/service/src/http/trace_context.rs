use std::{convert::Infallible, fmt, ops::Range};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};

use super::layers::Known;

/// The W3C Trace Context of a request: the caller's trace, continued with a span of our own, or a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext([u8; VERSION_0_LENGTH]);

/// The span of another process that a request continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub trace_id: u128,
    pub span_id: u64,
    /// Those that we know.
    pub flags: u8,
}

static HEADER: HeaderName = HeaderName::from_static("traceparent");
const VERSION_0_LENGTH: usize = 55;
const TEMPLATE: &[u8; VERSION_0_LENGTH] = b"00-00000000000000000000000000000000-0000000000000000-00";
const TRACE_ID: Range<usize> = 3..35;
const SPAN_ID: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;
const SAMPLED: u8 = 1;

impl Caller {
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&HEADER).iter();
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
    pub(super) fn called_by(caller: Option<Caller>) -> Self {
        let (trace_id, flags) = match caller {
            Some(Caller { trace_id, flags, .. }) => (trace_id, flags),
            None => (not_zero(rand::random), SAMPLED),
        };
        Self::at(trace_id, not_zero(rand::random), flags)
    }

    pub(super) fn at(trace_id: u128, span_id: u64, flags: u8) -> Self {
        let mut text = *TEMPLATE;
        write_hex(trace_id, &mut text[TRACE_ID]);
        write_hex(span_id.into(), &mut text[SPAN_ID]);
        write_hex((flags & SAMPLED).into(), &mut text[FLAGS]);
        Self(text)
    }

    /// `00-<trace id>-<our span>-<flags>`, to be passed on.
    pub fn traceparent(&self) -> &str {
        ascii(&self.0)
    }

    pub fn trace_id(&self) -> &str {
        ascii(&self.0[TRACE_ID])
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext").field(&self.traceparent()).finish()
    }
}

/// By hand, since every request has its ids written, and a formatter is to be seen in samples of the shortest ones.
fn write_hex(number: u128, into: &mut [u8]) {
    for (place, digit) in into.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 0xf];
    }
}

fn ascii(text: &[u8]) -> &str {
    str::from_utf8(text).unwrap_or_default()
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
fn read(header: &str) -> Option<Caller> {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = header.splitn(5, '-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known_shape = hex(version, 2) && hex(trace_id, 32) && hex(span_id, 16) && hex(flags, 2);
    let known_version = version != "ff" && (version != "00" || header.len() == VERSION_0_LENGTH);
    if !known_shape || !known_version {
        return None;
    }
    let (trace_id, span_id) = (u128::from_str_radix(trace_id, 16).ok()?, u64::from_str_radix(span_id, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()? & SAMPLED;
    (trace_id != 0 && span_id != 0).then_some(Caller { trace_id, span_id, flags })
}

/// What [`super::app`] found; a new one on a router without it.
impl<S: Sync> FromRequestParts<S> for TraceContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Known::of(&parts.extensions).map_or_else(Self::start, |known| known.trace))
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
            headers.append(&HEADER, value.parse().unwrap());
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
            assert!(ours.traceparent().starts_with("00-") && ours.traceparent().ends_with(flags), "{header}: {ours:?}");
            assert!(!ours.traceparent().contains(SPAN), "{header}");
            assert_eq!(ours.traceparent().len(), VERSION_0_LENGTH);
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
            assert!(read(ours.traceparent()).is_some(), "{ours:?}");
        }
        assert_ne!(of(&[]).trace_id(), of(&[]).trace_id());
    }
}
