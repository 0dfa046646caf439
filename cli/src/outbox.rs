//! `waypost outbox`: what waits to be published, what the bus refused, and having it tried again.
//!
//! Envelopes are not read: they may hold personal data.

mod list;
mod retry;
mod status;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use outbox::OutboxRow;
use serde::Serialize;
use service::settings::{Env, all};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    bus::patience,
    producers::{AUTH_SERVICE, Producer, by_name},
};

#[derive(Debug, Subcommand)]
pub enum Outbox {
    /// Say how much waits, for what, and for how long
    ///
    /// By the database's clock. Exits with 0 whatever it finds: alarms belong on the relay's metrics.
    Status(status::Status),
    /// List rows that are not published, the oldest first, with the last error of each
    List(list::List),
    /// Have failed rows published again; says what it would do unless told to --execute
    ///
    /// First mend what the bus refused them for, which `waypost outbox list --failed` tells. Attempts go on counting, and rows
    /// that are not failed are left alone.
    Retry(retry::Retry),
}

impl Outbox {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status(status) => status.execute(env).await,
            Self::List(list) => list.execute(env).await,
            Self::Retry(retry) => retry.execute(env).await,
        }
    }
}

#[derive(Debug, Args)]
struct Source {
    /// Whose outbox
    #[arg(long, value_name = "NAME", default_value = AUTH_SERVICE.name, value_parser = by_name())]
    service: &'static Producer,
}

impl Source {
    /// The producer's database, answering.
    async fn connect(&self, env: &Env) -> anyhow::Result<PgPool> {
        let (database, patience) = all((self.service.database(env), patience(env)))?;
        database.wait_until_ready(patience).await?;
        Ok(database.connect_lazy("waypost-outbox"))
    }
}

/// A row of the outbox, as JSON has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    event_id: Uuid,
    event_type: String,
    schema_version: i32,
    source: String,
    subject: String,
    /// `due`, `leased`, `delayed`, `backing-off`, `failed` or `published`.
    state: &'static str,
    attempts: i32,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    not_before: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    published_at: Option<OffsetDateTime>,
    last_error: Option<String>,
}

impl From<OutboxRow> for Row {
    fn from(row: OutboxRow) -> Self {
        Self {
            state: row.state().as_str(),
            event_id: row.event_id,
            event_type: row.event_type,
            schema_version: row.schema_version,
            source: row.source,
            subject: row.subject,
            attempts: row.attempts,
            created_at: row.created_at,
            not_before: row.not_before,
            due_at: row.due_at,
            published_at: row.published_at,
            last_error: row.last_error,
        }
    }
}
