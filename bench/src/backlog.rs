//! Events to work on, all different: as messages, as a queue hands them out, and as the columns that a reference inserts
//! without having to read a message.

use anyhow::Context;
use messaging::{MessageId, OutgoingMessage, RawMessage, Receipt};
use schemas::{AccountStatus, Clock, Envelope, Header, Role, Roles, Sequence, ServiceName, UserCreatedV2, event_id};
use time::OffsetDateTime;
use uuid::Uuid;

/// One `user.created`, as auth-service sends it.
#[derive(Debug, Clone)]
pub struct BenchEvent {
    pub envelope: Envelope,
    pub key: Uuid,
    pub user: Uuid,
    pub email: String,
    pub sequence: Sequence,
    pub time: OffsetDateTime,
}

/// The columns of one batch.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub keys: Vec<Uuid>,
    pub ids: Vec<String>,
    pub types: Vec<String>,
    pub versions: Vec<i32>,
    pub sources: Vec<String>,
    pub subjects: Vec<Option<String>>,
    pub sequences: Vec<i64>,
    pub times: Vec<OffsetDateTime>,
    pub users: Vec<Uuid>,
    pub emails: Vec<String>,
    pub verified: Vec<bool>,
    pub roles: Vec<String>,
    pub statuses: Vec<String>,
    pub reasons: Vec<Option<String>>,
    pub token_versions: Vec<Option<i64>>,
    pub registered: Vec<OffsetDateTime>,
    pub names: Vec<Option<String>>,
}

/// What a full batch of a worker holds.
pub const BATCH: usize = 100;
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// `count` events of as many users, of now.
pub fn events(count: usize) -> anyhow::Result<Vec<BenchEvent>> {
    let clock = Clock::system();
    (0..count).map(|_| event(clock.now())).collect()
}

fn event(now: OffsetDateTime) -> anyhow::Result<BenchEvent> {
    let (user, key, sequence) = (Uuid::new_v4(), event_id(now), Sequence::after(None, now));
    let email = format!("{}@example.org", &user.simple().to_string()[..16]);
    let payload = UserCreatedV2 {
        user_id: user,
        email: email.clone().try_into().context("an address for a benchmark")?,
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        display_name: None,
        email_verified: false,
        roles: Roles::of_a_new_account(),
        status: AccountStatus::Active,
    };
    let traceparent = Some(TRACEPARENT.to_owned());
    let header = Header { id: key, source: auth_service::NAME, time: now, sequence, traceparent };
    Ok(BenchEvent { envelope: Envelope::new(&payload, header)?, key, user, email, sequence, time: now })
}

impl BenchEvent {
    pub fn message(&self) -> anyhow::Result<OutgoingMessage> {
        let Envelope { event_type, schemaversion, source, .. } = &self.envelope;
        let body = serde_json::to_string(&self.envelope)?;
        Ok(outbox::message(event_type, *schemaversion as i32, source, body))
    }

    /// As SQS would hand it out for the first time.
    pub fn received(&self) -> anyhow::Result<RawMessage> {
        let OutgoingMessage { body, attributes } = self.message()?;
        Ok(RawMessage {
            id: MessageId(Uuid::new_v4().to_string()),
            // Receipt handles of SQS have about this length.
            receipt: Receipt(format!("{:0>184}", self.key.simple())),
            body,
            attributes,
            receive_count: 1,
            sent_at: Some(self.time),
        })
    }
}

/// Events in batches, in the order that they have.
pub fn batches(events: &[BenchEvent]) -> Vec<Columns> {
    let columns = |events: &[BenchEvent]| {
        let mut columns = Columns::default();
        for event in events {
            columns.keys.push(event.key);
            columns.ids.push(event.envelope.id.clone());
            columns.types.push(event.envelope.event_type.clone());
            columns.versions.push(event.envelope.schemaversion as i32);
            columns.sources.push(event.envelope.source.clone());
            columns.subjects.push(event.envelope.subject.clone());
            columns.sequences.push(event.sequence.get());
            columns.times.push(event.time);
            columns.users.push(event.user);
            columns.emails.push(event.email.clone());
            columns.verified.push(false);
            columns.roles.push(Role::USER.as_str().to_owned());
            columns.statuses.push(AccountStatus::Active.as_str().to_owned());
            columns.reasons.push(None);
            columns.token_versions.push(None);
            columns.registered.push(event.time);
            columns.names.push(None);
        }
        columns
    };
    events.chunks(BATCH).map(columns).collect()
}
