//! Dead letters, leased while they are looked at.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use messaging::{Bus, EntryError, Queue, RawMessage, Receipt, ReceiveRequest, unwrap_notification};
use schemas::{Envelope, InboxKey};
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::{FAILURE_ATTRIBUTE, FailureReport, LastFailure};

/// Longer than looking takes; handed back earlier.
const LOOKING: Duration = Duration::from_secs(10 * 60);
const POLL: Duration = Duration::from_secs(1);
/// Queues are spread over servers, and one poll may miss what another server holds.
const EMPTY_POLLS: u32 = 2;

/// One event that died, or one message that is no event, with all copies that were found.
#[derive(Debug)]
pub struct DeadLetter {
    pub envelope: Option<(Envelope, InboxKey)>,
    pub report: Option<FailureReport>,
    /// From the consumer's database, where the message carries no report.
    pub recorded: Option<LastFailure>,
    /// Never empty.
    pub copies: Vec<RawMessage>,
}

/// Why it died, from wherever that is known.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    #[serde(rename = "reason")]
    pub name: String,
    pub message: String,
    pub causes: Vec<String>,
    pub attempts: Option<u32>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub failed_at: Option<OffsetDateTime>,
}

/// What was read of a queue. Hand it back with [`Letters::hand_back`].
#[derive(Debug)]
pub struct Letters {
    pub queue: Arc<dyn Queue>,
    pub letters: Vec<DeadLetter>,
}

impl Letters {
    /// Reads the whole dead-letter queue of a consumer.
    pub async fn read(bus: &dyn Bus, pool: &PgPool, consumer: &str) -> anyhow::Result<Self> {
        let name = bus.names().dead_letter_queue(consumer);
        let queue = bus.queue(&name).await.with_context(|| format!("is there a consumer `{consumer}`?"))?;
        let mut messages = Vec::new();
        let read = tokio::select! {
            read = receive_all(&*queue, &mut messages) => read.map_err(anyhow::Error::from),
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; what was looked at goes back")),
        };
        let mut letters = Self { queue, letters: group(messages) };
        let read = match read {
            Ok(()) => letters.look_up(pool).await,
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            letters.hand_back().await;
            return Err(error);
        }
        letters.letters.sort_by_key(|letter| letter.copies[0].sent_at);
        Ok(letters)
    }

    async fn look_up(&mut self, pool: &PgPool) -> anyhow::Result<()> {
        let silent = self.letters.iter().filter(|letter| letter.report.is_none());
        let keys: Vec<_> = silent.filter_map(DeadLetter::key).collect();
        let failures = worker::last_failures(pool, &keys).await.context("could not read event_failures")?;
        let mut failures: HashMap<Uuid, LastFailure> = failures.into_iter().map(|f| (f.event_key, f)).collect();
        for letter in self.letters.iter_mut().filter(|letter| letter.report.is_none()) {
            letter.recorded = letter.key().and_then(|key| failures.remove(&key.as_uuid()));
        }
        Ok(())
    }

    /// Hands every message back that is still held.
    pub async fn hand_back(&self) {
        let receipts = self.letters.iter().flat_map(|letter| &letter.copies);
        let changes: Vec<_> = receipts.map(|message| (message.receipt.clone(), Duration::ZERO)).collect();
        let results = self.queue.change_visibility(&changes).await;
        let failed = results.iter().filter(|result| matches!(result, Err(EntryError::Unavailable { .. }))).count();
        if failed > 0 {
            eprintln!("{failed} messages could not be handed back; they can be seen again in {LOOKING:?}");
        }
    }
}

async fn receive_all(queue: &dyn Queue, messages: &mut Vec<RawMessage>) -> Result<(), messaging::BusError> {
    let mut empty = 0;
    while empty < EMPTY_POLLS {
        let some = queue.receive(ReceiveRequest { max: 10, wait: POLL, visibility: LOOKING }).await?;
        empty = if some.is_empty() { empty + 1 } else { 0 };
        messages.extend(some);
    }
    Ok(())
}

fn group(messages: Vec<RawMessage>) -> Vec<DeadLetter> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    let mut positions = HashMap::new();
    for message in messages {
        let envelope = Envelope::read(unwrap_notification(&message.body).as_str()).ok();
        let report = message.attributes.get(FAILURE_ATTRIBUTE).and_then(|text| serde_json::from_str(text).ok());
        let at = envelope.as_ref().map(|(_, key)| *positions.entry(*key).or_insert(letters.len()));
        if let Some(known) = at.and_then(|at| letters.get_mut(at)) {
            known.report = known.report.take().or(report);
            known.copies.push(message);
        } else {
            letters.push(DeadLetter { envelope, report, recorded: None, copies: vec![message] });
        }
    }
    letters
}

impl DeadLetter {
    pub fn key(&self) -> Option<InboxKey> {
        self.envelope.as_ref().map(|(_, key)| *key)
    }

    /// The event's id; the message's where it is no event.
    pub fn id(&self) -> &str {
        self.envelope.as_ref().map_or(&self.copies[0].id.0, |(envelope, _)| &envelope.id)
    }

    pub fn event_type(&self) -> Option<&str> {
        self.envelope.as_ref().map(|(envelope, _)| envelope.event_type.as_str())
    }

    pub fn receipts(&self) -> Vec<Receipt> {
        self.copies.iter().map(|message| message.receipt.clone()).collect()
    }

    pub fn reason(&self) -> Reason {
        if let Some(report) = &self.report {
            return Reason {
                name: report.reason.clone(),
                message: report.message.clone(),
                causes: report.causes.clone(),
                attempts: Some(report.attempts),
                failed_at: Some(report.failed_at),
            };
        }
        if let Some(recorded) = &self.recorded {
            return Reason {
                name: recorded.reason.clone(),
                message: recorded.message.clone(),
                causes: recorded.causes.clone(),
                attempts: Some(recorded.attempt as u32),
                failed_at: Some(recorded.failed_at),
            };
        }
        Reason {
            name: "worker-died".to_owned(),
            message: "no failure is on record: the worker died before it could report".to_owned(),
            causes: Vec::new(),
            attempts: None,
            failed_at: None,
        }
    }
}
