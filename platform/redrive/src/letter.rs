//! One event that died, with why.

use messaging::{Receipt, unwrap_notification};
use schemas::{Envelope, InboxKey};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use worker::{FAILURE_ATTRIBUTE, FailureReport, LastFailure};

use crate::{ReplayStamp, Stored};

/// One event that died, or one message that is no event, with all copies that were found.
#[derive(Debug)]
pub struct DeadLetter {
    pub envelope: Option<(Envelope, InboxKey)>,
    pub report: Option<FailureReport>,
    /// From the consumer's database, where the message carries no report.
    pub recorded: Option<LastFailure>,
    /// Never empty.
    pub copies: Vec<Stored>,
}

/// Why it died, from wherever that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    #[serde(rename = "reason")]
    pub name: String,
    pub message: String,
    pub causes: Vec<String>,
    pub attempts: Option<u32>,
    pub handler: Option<String>,
    /// The same for one fault, whatever ids and values it speaks of.
    pub fingerprint: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub failed_at: Option<OffsetDateTime>,
}

/// No failure is on record: its worker died before it could report, or nobody ever read it.
const WORKER_DIED: &str = "worker-died";
/// SNS could not deliver it, and says so in attributes of its own.
const UNDELIVERED: &str = "undelivered";

impl DeadLetter {
    pub(crate) fn read(copies: Vec<Stored>) -> Self {
        let first = copies.first();
        let envelope = first.and_then(|copy| Envelope::read(unwrap_notification(&copy.body).as_str()).ok());
        let report = copies.iter().find_map(report);
        Self { envelope, report, recorded: None, copies }
    }

    /// The event's inbox key; of what is no event, its message's id.
    pub fn key(&self) -> String {
        match &self.envelope {
            Some((_, key)) => key.to_string(),
            None => format!("message:{}", self.copies[0].message_id),
        }
    }

    pub fn event_key(&self) -> Option<InboxKey> {
        self.envelope.as_ref().map(|(_, key)| *key)
    }

    /// The event's id; the message's where it is no event.
    pub fn id(&self) -> &str {
        self.envelope.as_ref().map_or(&self.copies[0].message_id, |(envelope, _)| &envelope.id)
    }

    pub fn event_type(&self) -> Option<&str> {
        self.envelope.as_ref().map(|(envelope, _)| envelope.event_type.as_str())
    }

    pub fn version(&self) -> Option<u32> {
        self.envelope.as_ref().map(|(envelope, _)| envelope.schemaversion)
    }

    pub fn subject(&self) -> Option<&str> {
        self.envelope.as_ref().and_then(|(envelope, _)| envelope.subject.as_deref())
    }

    pub fn receipts(&self) -> Vec<Receipt> {
        self.copies.iter().map(|copy| Receipt(copy.receipt.clone())).collect()
    }

    /// The last replay that it failed after.
    pub fn replayed(&self) -> Option<ReplayStamp> {
        let stamps = self.copies.iter().filter_map(|copy| ReplayStamp::of(&copy.attributes));
        stamps.max_by_key(|stamp| stamp.count)
    }

    /// When it was first sent to the queue it lies in: from then on counts how long that queue keeps it.
    pub fn sent_at(&self) -> Option<OffsetDateTime> {
        self.copies.iter().filter_map(|copy| copy.sent_at).min()
    }

    /// When it died; where nobody knows, when it was sent.
    pub fn died_at(&self) -> Option<OffsetDateTime> {
        self.report
            .as_ref()
            .map(|report| report.failed_at)
            .or_else(|| self.recorded.as_ref().map(|recorded| recorded.failed_at))
            .or_else(|| self.sent_at())
    }

    pub fn reason(&self) -> Reason {
        if let Some(report) = &self.report {
            return Reason {
                name: report.reason.clone(),
                message: report.message.clone(),
                causes: report.causes.clone(),
                attempts: Some(report.attempts),
                handler: report.handler.clone(),
                fingerprint: report.fingerprint.clone(),
                failed_at: Some(report.failed_at),
            };
        }
        if let Some(recorded) = &self.recorded {
            return Reason {
                name: recorded.reason.clone(),
                message: recorded.message.clone(),
                causes: recorded.causes.clone(),
                attempts: Some(recorded.attempt as u32),
                handler: recorded.handler.clone(),
                fingerprint: recorded.fingerprint.clone(),
                failed_at: Some(recorded.failed_at),
            };
        }
        let undelivered = self.copies.iter().find_map(|copy| copy.attributes.get("ErrorCode"));
        let (name, message) = match undelivered {
            Some(code) => (UNDELIVERED, format!("SNS could not deliver it: {}", shortened(code))),
            None => (WORKER_DIED, "no failure is on record: the worker died before it could report".to_owned()),
        };
        Reason {
            name: name.to_owned(),
            fingerprint: fingerprint(name, self.event_type().unwrap_or_default(), &message),
            message,
            causes: Vec::new(),
            attempts: None,
            handler: None,
            failed_at: None,
        }
    }

    /// What may be shown of it: the envelope's attributes, and of the payload what its schema classes as open. A body that
    /// can't be read has no schema.
    pub fn redacted(&self) -> Value {
        match &self.envelope {
            Some((envelope, _)) => envelope.redacted(),
            None => Value::from(format!("[redacted: unclassified, {} bytes]", self.copies[0].body.len())),
        }
    }
}

fn report(copy: &Stored) -> Option<FailureReport> {
    serde_json::from_str(copy.attributes.get(FAILURE_ATTRIBUTE)?).ok()
}

/// Of SNS's own words: they may be long.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn fingerprint(name: &str, event_type: &str, message: &str) -> String {
    let hash = Sha256::digest([name, event_type, message].join("\0"));
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    format!("{:016x}", u64::from_be_bytes(short))
}
