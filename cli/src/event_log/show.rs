//! One event's life, from the outbox of who sent it to the inbox of who applied it.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use outbox::OutboxRow;
use redrive::audit::{self, Earlier};
use schemas::InboxKey;
use serde::Serialize;
use service::{
    ErrorChain,
    postgres::PostgresSettings,
    settings::{Env, SettingErrors, all},
};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::{AppliedEvent, AppliedFilter, FailedAttempt};

use super::{
    Entry,
    timeline::{self, Verdict},
};
use crate::{
    bus::patience,
    consumers::{CONSUMERS, ConsumerProcess, OneConsumer},
    moment,
    outbox::Row,
    outln,
    producers::{PRODUCERS, Producer},
};

const EXAMPLES: &str = "\
Examples:
  waypost event-log show 019ab6a1-7c3e-7d10-8f2b-0123456789ab
  waypost event-log show 019ab6a1-7c3e-7d10-8f2b-0123456789ab --json

The last line is one of: waiting in the outbox; failed in the outbox; published, not yet applied; failing (attempt N);
dead; replayed, not yet applied; discarded; applied; applied after failing; unknown (exit code 1).";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Show {
    /// The event's id, or the key of an event whose id several producers use
    id: String,
    #[command(flatten)]
    by: OneConsumer,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// What is known of one event.
pub struct Life {
    pub outbox: Option<OutboxRow>,
    /// The oldest first.
    pub failures: Vec<FailedAttempt>,
    /// What operators did to its dead letter, in that order.
    pub operators: Vec<Earlier>,
    pub applied: Option<AppliedEvent>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    event_id: String,
    verdict: String,
    /// Whether the outbox was looked at; where it wasn't, the event may be in it.
    outbox_read: bool,
    outbox: Option<Row>,
    failures: Vec<Failure>,
    operators: Vec<Earlier>,
    applied: Option<Entry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    attempt: i32,
    class: String,
    reason: String,
    message: String,
    causes: Vec<String>,
    handler: Option<String>,
    worker: String,
    version: String,
    trace_id: Option<String>,
    queue: String,
    message_id: String,
    receive_count: i32,
    dead_lettered: bool,
    #[serde(with = "time::serde::rfc3339")]
    failed_at: OffsetDateTime,
}

impl Show {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (database, senders, patience) = all((self.by.get().database(env), senders(env), patience(env)))?;
        database.wait_until_ready(patience).await?;
        let inbox = database.connect_lazy("waypost-event-log");
        let (applied, failures) = self.read_inbox(&inbox).await?;
        let operators = audit::of_letter(&inbox, &self.id).await.context("could not read redrive_audit")?;

        let (outbox, unread) = self.read_outboxes(&senders, patience).await;
        for why in &unread {
            eprintln!("the outbox was not looked at: {why}");
        }
        let outbox_read = outbox.is_some() || unread.is_empty();
        let life = Life { outbox, failures, operators, applied };
        let verdict = Verdict::of(&life);
        if let Some(told) = life.outbox.as_ref().and_then(|row| not_for(self.by.get(), &row.event_type)) {
            eprintln!("{told}");
        }
        if verdict == Verdict::Unknown {
            eprintln!("{}", self.unknown(&inbox, outbox_read).await?);
        }
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&self.shown(life, verdict, outbox_read))?);
        } else if verdict == Verdict::Unknown {
            outln!("{verdict}");
        } else {
            timeline::print(&self.id, &life, verdict)?;
        }
        Ok(if verdict == Verdict::Unknown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    async fn read_inbox(&self, pool: &PgPool) -> anyhow::Result<(Option<AppliedEvent>, Vec<FailedAttempt>)> {
        let filter = AppliedFilter { ids: vec![self.id.clone()], ..AppliedFilter::default() };
        let mut applied = worker::find_applied(pool, &filter, u32::MAX).await.context("could not read event_logs")?;
        let failures = worker::failed_attempts(pool, &self.id).await.context("could not read event_failures")?;
        let keys: BTreeSet<Uuid> =
            applied.iter().map(|event| event.event_key).chain(failures.iter().map(|f| f.event_key)).collect();
        if keys.len() > 1 {
            let keys: Vec<_> = keys.iter().map(Uuid::to_string).collect();
            let (count, id) = (keys.len(), &self.id);
            bail!(
                "{count} events have the id `{id}`, of other producers or other times; show one by its key: {}",
                keys.join(", ")
            );
        }
        Ok((applied.pop(), failures))
    }

    /// The event's row, and why an outbox that may hold it was not read. What is known of the rest is worth telling while one
    /// database is away.
    async fn read_outboxes(&self, senders: &[Sender], patience: Duration) -> (Option<OutboxRow>, Vec<String>) {
        let mut unread = Vec::new();
        for (producer, database) in senders {
            let Some(database) = database else {
                if producer.sends_to(&(self.by.get().registered)()) {
                    unread.push(format!("{} is not set", producer.database_variable()));
                }
                continue;
            };
            let read = async {
                database.wait_until_ready(patience).await?;
                self.read_outbox(&database.connect_lazy("waypost-event-log")).await
            };
            match read.await {
                Ok(Some(row)) => return (Some(row), Vec::new()),
                Ok(None) => {}
                Err(error) => unread.push(ErrorChain(error.as_ref()).to_string()),
            }
        }
        (None, unread)
    }

    async fn read_outbox(&self, pool: &PgPool) -> anyhow::Result<Option<OutboxRow>> {
        // An outbox holds no other ids.
        let Ok(id) = Uuid::try_parse(&self.id) else { return Ok(None) };
        Ok(outbox::rows_of(pool, &[id]).await.context("could not read the outbox")?.pop())
    }

    /// What to say of an event that left no trace.
    async fn unknown(&self, inbox: &PgPool, outbox_read: bool) -> anyhow::Result<String> {
        let where_ = if outbox_read { "outbox, event_logs or event_failures" } else { "event_logs or event_failures" };
        let oldest = worker::oldest_applicable(inbox).await?;
        let forgotten = match InboxKey::of(&self.id, "", None) {
            Ok(key) if key.time() < oldest => {
                format!(
                    "; it is of {}, and what was before {} is forgotten",
                    moment::shown(key.time()),
                    moment::shown(oldest)
                )
            }
            _ => String::new(),
        };
        Ok(format!("no event `{}` in {where_}{forgotten}", self.id))
    }

    fn shown(self, life: Life, verdict: Verdict, outbox_read: bool) -> Shown {
        Shown {
            event_id: self.id,
            verdict: verdict.to_string(),
            outbox_read,
            outbox: life.outbox.map(Row::from),
            failures: life.failures.into_iter().map(Failure::from).collect(),
            operators: life.operators,
            applied: life.applied.map(Entry::from),
        }
    }
}

type Sender = (&'static Producer, Option<PostgresSettings>);

/// Every producer, with its database where that is named. `DATABASE_URL` doesn't count: it is the consumer's here.
fn senders(env: &Env) -> Result<Vec<Sender>, SettingErrors> {
    let mut wrong = SettingErrors::default();
    let mut read = |row: &'static Producer| match env.optional(&row.database_variable()) {
        Ok(None) => Some((row, None)),
        _ => wrong.keep(row.database(env)).map(|database| (row, Some(database))),
    };
    let senders: Vec<_> = PRODUCERS.into_iter().filter_map(&mut read).collect();
    if wrong.is_empty() { Ok(senders) } else { Err(wrong) }
}

/// Why a published event stays unknown to a consumer that doesn't read such events, and who does.
fn not_for(consumer: &ConsumerProcess, event_type: &str) -> Option<String> {
    let reads = |row: &ConsumerProcess| (row.registered)().events().iter().any(|event| event.as_str() == event_type);
    if reads(consumer) {
        return None;
    }
    let readers: Vec<_> =
        CONSUMERS.iter().filter(|row| reads(row)).map(|row| format!("--consumer {}", row.name)).collect();
    let who = if readers.is_empty() { "nobody does".to_owned() } else { readers.join(", ") };
    Some(format!("{} does not read {event_type}; {who}", consumer.name))
}

impl From<FailedAttempt> for Failure {
    fn from(failed: FailedAttempt) -> Self {
        Self {
            attempt: failed.attempt,
            class: failed.class,
            reason: failed.reason,
            message: failed.message,
            causes: failed.causes,
            handler: failed.handler,
            worker: failed.worker,
            version: failed.version,
            trace_id: failed.trace_id,
            queue: failed.queue,
            message_id: failed.message_id,
            receive_count: failed.receive_count,
            dead_lettered: failed.dead_lettered,
            failed_at: failed.failed_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumers::DEFAULT;

    #[test]
    fn an_event_that_a_consumer_does_not_read_is_said_to_be_another_ones() {
        assert_eq!(not_for(DEFAULT, "user.created"), None);
        let told = not_for(DEFAULT, "user.registration.repeated").unwrap();
        assert_eq!(told, "user-service does not read user.registration.repeated; --consumer mailer");
        let told = not_for(DEFAULT, "test.happened").unwrap();
        assert_eq!(told, "user-service does not read test.happened; nobody does");
    }
}
