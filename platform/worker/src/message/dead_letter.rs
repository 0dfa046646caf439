//! Sending a message to the dead-letter queue with the reason why.
//!
//! Send, then delete: a crash in between leaves two copies, which readers count as one by event id. The other order
//! would lose the message.

use std::sync::Arc;

use messaging::{EntryError, OutgoingMessage, Queue};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{measure, message::lease::Held};

/// The one attribute that carries every fact of a failure: attributes are scarce, a message may have ten.
pub const FAILURE_ATTRIBUTE: &str = "waypost-failure";

/// By which an operator's replay marks a message: one that dies with it has failed again.
pub const REPLAY_ATTRIBUTE: &str = "waypost-replay";

/// Of the report, in bytes.
pub const LARGEST_REPORT: usize = 4 * 1024;

/// What the worker says of a message it dead-letters. Holds no data of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    pub class: String,
    pub reason: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    pub fingerprint: String,
    pub attempts: u32,
    pub receive_count: u32,
    pub queue: String,
    pub worker: String,
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub failed_at: OffsetDateTime,
}

impl FailureReport {
    /// As JSON of at most 4 KiB: causes are left out first, from the innermost, then the message is cut.
    fn to_attribute(&self) -> String {
        let mut report = self.clone();
        loop {
            let text = serde_json::to_string(&report).unwrap_or_default();
            if text.len() <= LARGEST_REPORT {
                return text;
            }
            if report.causes.pop().is_none() {
                if report.message.is_empty() {
                    return String::new();
                }
                let half = report.message.chars().count() / 2;
                report.message = report.message.chars().take(half).collect();
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct DeadLetters(pub Arc<dyn Queue>);

impl DeadLetters {
    /// Sends a copy of the message, stamped with `report`. The caller deletes the original when this is `Ok`.
    pub async fn send(&self, held: &Held, report: &FailureReport) -> Result<(), EntryError> {
        let plain = held.message.to_outgoing();
        let mut stamped = plain.clone();
        stamped.attributes.insert(FAILURE_ATTRIBUTE.to_owned(), report.to_attribute());
        let sent = match self.send_one(&stamped).await {
            // Too large with the stamp, or an eleventh attribute. event_failures still has the reason.
            Err(EntryError::Refused { code, .. }) => {
                tracing::warn!(code, "the stamped dead letter was refused; sending it unstamped");
                self.send_one(&plain).await
            }
            sent => sent,
        };
        if sent.is_ok() {
            measure::dead_lettered(&report.reason);
            let refailed = held.message.attributes.contains_key(REPLAY_ATTRIBUTE);
            if refailed {
                measure::refailed(&report.reason);
            }
            tracing::error!(
                event_id = report.event_id,
                event_type = report.event_type,
                handler = report.handler,
                reason = report.reason,
                message = report.message,
                attempts = report.attempts,
                trace_id = report.trace_id,
                refailed,
                "dead-lettered"
            );
        }
        sent
    }

    async fn send_one(&self, message: &OutgoingMessage) -> Result<(), EntryError> {
        let result = self.0.send(std::slice::from_ref(message)).await.into_iter().next();
        result.unwrap_or_else(|| Err(EntryError::unavailable("NoAnswer", "the queue did not answer"))).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_report_never_outgrows_its_attribute() {
        let report = FailureReport {
            event_id: Some("e".into()),
            event_type: Some("user.created".into()),
            handler: None,
            class: "reject".into(),
            reason: "rejected".into(),
            message: "ü\u{1}".repeat(5_000),
            causes: vec!["c".repeat(1_000); 10],
            fingerprint: "f".into(),
            attempts: 1,
            receive_count: 1,
            queue: "q".into(),
            worker: "w".into(),
            version: "v".into(),
            trace_id: None,
            failed_at: datetime!(2026-11-22 12:00 UTC),
        };
        let text = report.to_attribute();
        assert!(text.len() <= LARGEST_REPORT && text.len() > LARGEST_REPORT / 3, "{}", text.len());
        let back: FailureReport = serde_json::from_str(&text).unwrap();
        assert!(report.message.starts_with(&back.message) && back.causes.is_empty());
    }
}
