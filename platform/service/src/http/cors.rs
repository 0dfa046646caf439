//! Which web pages may read answers: those of origins that are named, and nobody's unless some are.
//!
//! Without credentials: who asks is told by the header `authorization`, which a page sets itself, so there is nothing that
//! a browser would send along on its own.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use futures_util::FutureExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

use super::REQUEST_ID;
use crate::settings::{Env, SettingError};

/// Origins whose pages may read answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<HeaderValue>);

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const ASKED_WITH: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("idempotency-key"),
    header::IF_MATCH,
];
const SHOWN: [HeaderName; 6] = [
    REQUEST_ID,
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    header::ETAG,
    header::LOCATION,
];
const PREFLIGHT_HOLDS: Duration = Duration::from_mins(10);

impl AllowedOrigins {
    /// `CORS_ORIGINS`: origins as browsers send them, separated by commas.
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        const NAME: &str = "CORS_ORIGINS";
        let entries =
            env.optional(NAME)?.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let origins = entries.map(|entry| {
            origin(entry).ok_or_else(|| {
                let should_be = "origins such as `https://app.example.com, http://localhost:5173`: scheme and host as a \
                                 browser sends them, the port unless it is the scheme's own, and nothing after it";
                SettingError::wrong(NAME, entry, should_be)
            })
        });
        origins.collect::<Result<_, _>>().map(Self)
    }

    /// None where no origin is named.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
                .allow_methods(METHODS)
                .allow_headers(ASKED_WITH)
                .expose_headers(SHOWN)
                .max_age(PREFLIGHT_HOLDS)
                // All that differs between two answers is whose page may read them.
                .vary([header::ORIGIN])
        })
    }
}

fn origin(entry: &str) -> Option<HeaderValue> {
    let url = Url::parse(entry).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    // A star is a letter like any other in a URL's host; whoever writes it means something else.
    let is_as_sent = url.origin().ascii_serialization() == entry && !entry.contains('*');
    is_as_sent.then(|| entry.parse().ok())?
}

/// The layer takes every OPTIONS for a preflight and tells anybody what the origins that are named may do: only what is a
/// preflight is given to it, and only what is meant for its origin is sent.
pub(super) async fn share<F: Future<Output = Response> + Send>(
    layer: &CorsLayer,
    request: Request,
    mut answer: impl FnMut(Request) -> F + Send,
) -> Response {
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        return answer(request).await;
    }
    let answering = service_fn(move |request| answer(request).map(Ok::<_, Infallible>));
    let mut response = match layer.layer(answering).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let headers = response.headers_mut();
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        for name in [
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ACCESS_CONTROL_MAX_AGE,
        ] {
            headers.remove(name);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<AllowedOrigins, String> {
        AllowedOrigins::from_env(&Env::of([("CORS_ORIGINS", list)])).map_err(|error| error.to_string())
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        let origins = read("https://app.example.com, http://localhost:5173,https://[::1]:8443").unwrap();
        assert_eq!(origins.0, ["https://app.example.com", "http://localhost:5173", "https://[::1]:8443"]);
        assert_eq!(read(""), Ok(AllowedOrigins::default()));
    }

    #[test]
    fn what_no_browser_sends_is_refused_by_name() {
        for wrong in [
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/shop",
            "https://app.example.com?x",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://*.example.com",
            "https://bücher.example.com",
            "https://ada@app.example.com",
            "file:///index.html",
            "https://",
        ] {
            let error = read(&format!("https://good.example.com, {wrong}")).unwrap_err();
            assert!(
                error.starts_with(&format!("CORS_ORIGINS is `{wrong}`, should be origins such as `https://app.")),
                "{error}"
            );
        }
    }
}
