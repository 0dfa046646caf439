//! `waypost event-log`: which events were applied, and the whole life of one.
//!
//! It tells what `event_logs`, `event_failures` and the outbox say, and reads no payload: nothing here is personal data.

mod find;
mod show;
mod timeline;

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use service::settings::Env;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::AppliedEvent;

#[derive(Debug, Subcommand)]
pub enum EventLog {
    /// Find applied events, the newest first
    ///
    /// The log is kept for four weeks. What is given has to hold together. An id that is no UUID v7 is compared with every
    /// row, so say since when.
    Find(find::Find),
    /// Tell the life of one event: written, published, failed, applied, each with its time
    ///
    /// Outboxes are looked into where `AUTH_DATABASE_URL` and `USER_DATABASE_URL` are; where one that may hold the event is
    /// not set, the rest is told without it.
    Show(show::Show),
}

impl EventLog {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::Find(find) => find.execute(env).await,
            Self::Show(show) => show.execute(env).await,
        }
    }
}

/// An applied event's row, as JSON has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    event_id: String,
    event_key: Uuid,
    event_type: String,
    schema_version: i32,
    source: String,
    subject: Option<String>,
    sequence: Option<i64>,
    #[serde(with = "time::serde::rfc3339")]
    event_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    applied_at: OffsetDateTime,
    handler: String,
    redeliveries: i32,
}

impl From<AppliedEvent> for Entry {
    fn from(event: AppliedEvent) -> Self {
        Self {
            event_id: event.event_id,
            event_key: event.event_key,
            event_type: event.event_type,
            schema_version: event.schema_version,
            source: event.source,
            subject: event.subject,
            sequence: event.sequence,
            event_time: event.event_time,
            applied_at: event.applied_at,
            handler: event.handler,
            redeliveries: event.redeliveries,
        }
    }
}
