//! What every answer tells a browser: that it is data for a program and nothing to look at, run, frame or keep.
//!
//! A header that a handler set stays as it is: the page at `/docs` has a policy of its own, and public keys may be kept.
//! `cross-origin-resource-policy` holds back the loads that CORS does not ask about, such as an image; a page whose origin
//! may read answers asks by CORS, and is not held back by it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

static EVERYWHERE: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
/// Browsers ignore it unless it came over TLS, and it must not be sent otherwise (RFC 6797, 7.2).
static OVER_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
/// Those above, and the request's id.
const AT_MOST: usize = EVERYWHERE.len() + 2;

/// `over_tls`: whether the client asked over TLS.
pub(super) fn add_to(headers: &mut HeaderMap, over_tls: bool) {
    headers.reserve(AT_MOST);
    for (name, value) in &EVERYWHERE {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if over_tls {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert_with(|| OVER_TLS.clone());
    }
}
