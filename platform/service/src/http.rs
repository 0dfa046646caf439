//! Serving HTTP to strangers.
//!
//! [`app`] puts the same layers around every router: a trace context, the access log and metrics, panics and time-outs
//! as problem documents, a limit on bodies. [`serve()`] runs it on an accept loop of our own, because `axum::serve` never
//! closes a client that sends its request slowly, or not at all.
//!
//! A connection costs a permit from before it is accepted until it is closed, and holds it only as long as something
//! happens on it: the first byte, each head and each body have their time. A keep-alive connection that is idle counts
//! as waiting for a head. Behind a load balancer, which reads slow clients itself and keeps its own connections open,
//! set `HTTP_HEADER_TIMEOUT_SECONDS` above the balancer's idle time-out.

mod layers;
mod serve;
mod server_span;
mod trace_context;

use std::time::Duration;

pub(crate) use layers::BodyReadTimeout;
pub use layers::app;
pub use serve::{BindError, bind, serve};
pub use trace_context::TraceContext;

use crate::settings::{Env, SettingErrors, all};

/// What one client may cost.
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
    pub body_limit: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            first_byte_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(5),
            body_read_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            body_limit: 16 * 1_024,
        }
    }
}

impl HttpSettings {
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
