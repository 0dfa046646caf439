use std::{io, process::ExitCode};

use anyhow::bail;
use clap::Args;
use redrive::{DeadLetter, Filter, Leave, Operation, Verb, audit};
use schemas::InboxKey;
use serde_json::{Value, json};
use service::settings::Env;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use worker::FailedAttempt;

use super::{
    NOTHING_MATCHED,
    desk::{Desk, Source, approval},
    list::retention,
};
use crate::outln;

/// The envelope, with its payload redacted by class; every attempt that is on record; what a worker would say today;
/// whether it was applied; what was done to it before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq show ID
  waypost dlq show ID --reveal --reason 'ticket 4711'         with personal data; on record")]
pub struct Show {
    /// The event's id, or the message's where it is no event
    id: String,
    #[command(flatten)]
    source: Source,
    /// Print the body as it is, personal data included
    #[arg(long, requires = "reason")]
    reveal: bool,
    /// Why it is revealed; put on record
    #[arg(long, value_name = "WORDS")]
    reason: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = approval(env, self.reveal, self.reason.as_deref())?;
        let desk = self.source.open(env).await?;
        let filter = Filter { ids: [self.id.clone()].into(), ..Filter::default() };
        desk.look(async |snapshot| {
            let Some(number) = snapshot.choose(&filter, &desk.pool).await?.first().copied() else {
                eprintln!("no dead letter `{}` among {}; {}", self.id, snapshot.letters(), snapshot.saw().sentence());
                return Ok(ExitCode::from(NOTHING_MATCHED));
            };
            let Some(letter) = snapshot.read(&[number], &desk.pool).await?.pop() else {
                bail!("the letter can't be read again");
            };
            let mut shown = describe(&desk, &letter).await?;
            if let Some(approval) = &approval {
                // On record before it is shown, not after.
                let queue = desk.places.dead_letters.name();
                let counts = [("reveal".to_owned(), 1)].into();
                let whose = (desk.consumer.name(), queue);
                let operation = Operation::begin_without_letters(
                    &desk.pool,
                    &desk.clock,
                    Verb::Reveal,
                    whose,
                    &filter,
                    counts,
                    approval,
                )
                .await?;
                operation.tell(&[(self.id.clone(), "revealed", None)]).await?;
                operation.end("ended", None).await?;
                shown["body"] = Value::from(letter.copies[0].body.as_str());
            }
            if self.json {
                outln!("{}", serde_json::to_string_pretty(&shown)?);
            } else {
                print(&shown)?;
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

async fn describe(desk: &Desk, letter: &DeadLetter) -> anyhow::Result<Value> {
    let inbox = desk.inbox().await?;
    let text = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let (attempts, applied) = match letter.event_key() {
        Some(key) => {
            let attempts = worker::failed_attempts(&desk.pool, letter.id()).await?;
            (attempts, worker::applications(&desk.pool, &[key]).await?.pop())
        }
        None => (Vec::new(), None),
    };
    let own = letter.event_key().map(InboxKey::as_uuid);
    let attempts: Vec<_> = attempts.iter().filter(|attempt| Some(attempt.event_key) == own).map(attempted).collect();
    let expires = letter.sent_at().zip(retention(desk).await?).map(|(sent, kept)| sent + kept);
    Ok(json!({
        "id": letter.id(),
        "eventType": letter.event_type(),
        "version": letter.version(),
        "messageId": letter.copies[0].message_id,
        "copies": letter.copies.len(),
        "receiveCount": letter.copies.iter().map(|copy| copy.receive_count).max(),
        "firstSent": text(letter.sent_at()),
        "expiresAt": text(expires),
        "traceId": letter.envelope.as_ref().and_then(|(envelope, _)| envelope.trace_id()),
        "failure": letter.reason(),
        "attempts": attempts,
        "worker": letter.report.as_ref().map(|report| format!("{} {}", report.worker, report.version)),
        "today": match inbox.refusal(letter) {
            Some(Leave::WouldFail { reason, detail }) => {
                json!({ "verdict": "would-fail", "reason": reason, "detail": detail })
            }
            _ => json!({ "verdict": "would-be-taken" }),
        },
        "applied": applied.map(|one| json!({ "handler": one.handler, "at": text(Some(one.applied_at)) })),
        "earlier": audit::of_letter(&desk.pool, letter.id()).await?,
        "body": letter.redacted(),
    }))
}

fn attempted(attempt: &FailedAttempt) -> Value {
    json!({
        "at": attempt.failed_at.format(&Rfc3339).ok(),
        "attempt": attempt.attempt,
        "class": attempt.class,
        "reason": attempt.reason,
        "message": attempt.message,
        "causes": attempt.causes,
        "handler": attempt.handler,
        "worker": attempt.worker,
        "version": attempt.version,
        "traceId": attempt.trace_id,
        "receiveCount": attempt.receive_count,
        "deadLettered": attempt.dead_lettered,
    })
}

fn print(shown: &Value) -> io::Result<()> {
    let Some(fields) = shown.as_object() else { return Ok(()) };
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    for (name, value) in fields.iter().filter(|(_, value)| !empty(value)) {
        match value {
            Value::String(text) => outln!("{name}: {text}"),
            Value::Object(_) | Value::Array(_) => {
                let text = serde_json::to_string_pretty(value).unwrap_or_default();
                outln!("{name}: {}", text.replace('\n', "\n  "));
            }
            other => outln!("{name}: {other}"),
        }
    }
    Ok(())
}
