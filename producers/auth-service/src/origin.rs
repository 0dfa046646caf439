use std::net::IpAddr;

use service::http::TraceContext;
use uuid::Uuid;

/// Where a request came from, for the audit trail and for the events that it leads to.
#[derive(Debug, Clone)]
pub struct Origin {
    /// W3C trace context, which goes into events.
    pub traceparent: String,
    /// As the answer tells it.
    pub request_id: String,
    pub ip: Option<IpAddr>,
    user_agent: Option<String>,
    /// Who asks, where somebody is signed in.
    pub actor: Option<Uuid>,
}

const LONGEST_USER_AGENT: usize = 256;

impl Origin {
    pub fn new(traceparent: String, request_id: String, ip: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        let kept = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST_USER_AGENT).collect();
        Self { traceparent, request_id, ip, user_agent: user_agent.map(kept), actor: None }
    }

    /// Of what no request asked for. It starts a trace of its own.
    pub fn internal() -> Self {
        let trace = TraceContext::start();
        let request_id = trace.trace_id().to_owned();
        Self::new(trace.traceparent().to_owned(), request_id, None, None)
    }

    #[must_use]
    pub fn of_actor(self, actor: Uuid) -> Self {
        Self { actor: Some(actor), ..self }
    }

    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// As PostgreSQL reads it.
    pub(crate) fn ip_text(&self) -> Option<String> {
        self.ip.map(|ip| ip.to_string())
    }
}
