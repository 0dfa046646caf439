//! Serving HTTP to strangers.
//!
//! [`app`] puts the same layers around every router: a trace context, the access log and metrics, panics and time-outs
//! as problem documents, a limit on bodies, whose request it is, what browsers may do with the answer. [`serve()`] runs it
//! on an accept loop of our own, because `axum::serve` never closes a client that sends its request slowly, or not at all.
//!
//! A connection costs a permit from before it is accepted until it is closed, and holds it only as long as something
//! happens on it: the first byte, each head, each body and each piece of an answer have their time. A keep-alive
//! connection that is idle counts as waiting for a head. Behind a load balancer, which reads slow clients itself and keeps
//! its own connections open, set `HTTP_HEADER_TIMEOUT_SECONDS` above the balancer's idle time-out.

mod bare_answers;
mod client_address;
mod cors;
mod entity_tag;
mod head_timer;
mod layers;
mod listen;
pub mod page;
mod path_id;
mod request_metrics;
mod security_headers;
mod serve;
mod server_span;
mod trace_context;

use std::time::Duration;

use axum::http::HeaderName;

pub use client_address::{ClientAddress, ClientNetwork, TrustedProxies, client_behind};
pub use cors::AllowedOrigins;
pub use entity_tag::{EntityTag, IfMatch, IfNoneMatch};
pub(crate) use layers::BodyReadTimeout;
pub use layers::app;
pub use listen::ListenSetting;
pub use path_id::PathId;
pub use serve::{BindError, bind, serve};
pub use trace_context::TraceContext;

use crate::settings::{Env, SettingErrors, all};

/// The trace id, for a person who asks what became of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_HEAD_BYTES: usize = 16 * 1_024;

/// What one client may cost, and who is believed and shown what.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub max_connections: usize,
    /// From accepting a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From the first byte, or the end of the last answer, to the end of a request's head.
    pub header_read_timeout: Duration,
    pub body_read_timeout: Duration,
    /// From the end of the head to the answer.
    pub request_timeout: Duration,
    /// For each piece of an answer to be taken by a client that reads slowly, or not at all.
    pub write_timeout: Duration,
    pub body_limit: usize,
    pub trusted_proxies: TrustedProxies,
    pub allowed_origins: AllowedOrigins,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            first_byte_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(5),
            body_read_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            body_limit: 16 * 1_024,
            trusted_proxies: TrustedProxies::default(),
            allowed_origins: AllowedOrigins::default(),
        }
    }
}

impl HttpSettings {
    /// For an API: what every listener has, `TRUSTED_PROXIES` and `CORS_ORIGINS`.
    pub fn of_api(env: &Env) -> Result<Self, SettingErrors> {
        let (settings, trusted_proxies, allowed_origins) =
            all((Self::from_env(env), TrustedProxies::from_env(env), AllowedOrigins::from_env(env)))?;
        Ok(Self { trusted_proxies, allowed_origins, ..settings })
    }

    /// The same for a listener that is for the inside, which no page of anybody's reads.
    #[must_use]
    pub fn for_the_inside(&self) -> Self {
        Self { allowed_origins: AllowedOrigins::default(), ..self.clone() }
    }

    /// `HTTP_MAX_CONNECTIONS`, `HTTP_HEADER_TIMEOUT_SECONDS`, `HTTP_REQUEST_TIMEOUT_SECONDS`.
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let default = Self::default();
        let (max_connections, header_read_timeout, request_timeout) = all((
            env.number_or("HTTP_MAX_CONNECTIONS", default.max_connections, 1..=100_000),
            env.seconds_or("HTTP_HEADER_TIMEOUT_SECONDS", default.header_read_timeout, 1..=3_600),
            env.seconds_or("HTTP_REQUEST_TIMEOUT_SECONDS", default.request_timeout, 1..=600),
        ))?;
        Ok(Self { max_connections, header_read_timeout, request_timeout, ..default })
    }
}
