//! Replay: send to the consumer's queue, then delete from the dead-letter queue, entry by confirmed entry.
//!
//! Straight to the queue and not to the topic: other consumers have applied the event long ago. A crash between sending
//! and deleting leaves the dead letter where it was; its copy is recognised by the inbox.

use std::{collections::HashSet, process::ExitCode};

use anyhow::Context;
use clap::Args;
use messaging::{OutgoingMessage, Queue};
use schemas::Clock;
use serde::Serialize;
use service::settings::Env;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::{Consumer, FAILURE_ATTRIBUTE, RejectedAs};

use super::{
    Source, connect,
    letters::{DeadLetter, Letters},
};
use crate::outln;

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    source: Source,
    /// Do it; without this, say what would be done
    #[arg(long)]
    execute: bool,
    /// Print the plan or the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Replay this event; may be given several times
    #[arg(long = "event-id", value_name = "ID")]
    event_ids: Vec<String>,
    /// Replay every dead letter that can be
    #[arg(long)]
    all: bool,
}

/// What is to be done with one dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Replay,
    /// Replaying would do nothing: the inbox would recognise it.
    AlreadyApplied,
    /// Replaying would dead-letter it again, for this reason.
    WouldDieAgain(RejectedAs),
    NotChosen,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    executed: bool,
    replayed: Vec<String>,
    already_applied: Vec<String>,
    would_die_again: Vec<Unreplayable>,
    failed: Vec<String>,
    not_found: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Unreplayable {
    id: String,
    reason: &'static str,
}

/// What the decision about a dead letter depends on beside the letter.
struct Inbox {
    consumer: Consumer,
    applied: HashSet<Uuid>,
    oldest: OffsetDateTime,
    now: OffsetDateTime,
}

impl Replay {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let consumer = self.source.consumer()?;
        let (bus, pool) = connect(env).await?;
        let mut read = Letters::read(&*bus, &pool, consumer.name()).await?;
        let decided = async {
            let keys: Vec<_> = read.letters.iter().filter_map(DeadLetter::key).collect();
            let applied = worker::applied(&pool, &keys).await.context("could not read event_logs")?;
            let oldest = worker::oldest_applicable(&pool).await?;
            let now = Clock::system().now();
            let queue = bus.queue(&bus.names().queue(consumer.name())).await?;
            let inbox = Inbox { consumer, applied: applied.into_iter().collect(), oldest, now };
            anyhow::Ok((inbox, queue))
        };
        let (inbox, queue) = match decided.await {
            Ok(decided) => decided,
            Err(error) => {
                read.hand_back().await;
                return Err(error);
            }
        };
        let outcome = self.carry_out(&mut read, &inbox, &*queue).await;
        read.hand_back().await;
        self.print(&outcome)?;
        let incomplete = !outcome.failed.is_empty() || !outcome.not_found.is_empty();
        Ok(if incomplete { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn decide(&self, letter: &DeadLetter, inbox: &Inbox) -> Decision {
        if !self.which.all && !self.which.event_ids.iter().any(|id| id == letter.id()) {
            return Decision::NotChosen;
        }
        let Some((envelope, key)) = &letter.envelope else {
            return Decision::WouldDieAgain(RejectedAs::Undecodable);
        };
        if inbox.applied.contains(&key.as_uuid()) {
            return Decision::AlreadyApplied;
        }
        match worker::preflight(&inbox.consumer, inbox.oldest, inbox.now, envelope, *key) {
            Ok(()) => Decision::Replay,
            Err(refusal) => Decision::WouldDieAgain(refusal.reason),
        }
    }

    /// Takes what was replayed out of `read`, so that only the rest is handed back.
    async fn carry_out(&self, read: &mut Letters, inbox: &Inbox, queue: &dyn Queue) -> Outcome {
        let mut outcome = Outcome { executed: self.execute, ..Outcome::default() };
        let chosen: HashSet<&str> = read.letters.iter().map(DeadLetter::id).collect();
        let missing = self.which.event_ids.iter().filter(|id| !chosen.contains(id.as_str()));
        outcome.not_found = missing.cloned().collect();

        let (mut going, mut staying) = (Vec::new(), Vec::new());
        for letter in std::mem::take(&mut read.letters) {
            let id = letter.id().to_owned();
            match self.decide(&letter, inbox) {
                Decision::Replay => {
                    going.push(letter);
                    continue;
                }
                Decision::AlreadyApplied => outcome.already_applied.push(id),
                Decision::WouldDieAgain(reason) => {
                    outcome.would_die_again.push(Unreplayable { id, reason: reason.as_str() });
                }
                Decision::NotChosen => {}
            }
            staying.push(letter);
        }
        if !self.execute {
            outcome.replayed = going.iter().map(|letter| letter.id().to_owned()).collect();
            staying.extend(going);
            read.letters = staying;
            return outcome;
        }
        let messages: Vec<_> = going.iter().map(without_report).collect();
        let sent = queue.send(&messages).await;
        let mut receipts = Vec::new();
        for (letter, result) in going.into_iter().zip(sent) {
            match result {
                Ok(_) => {
                    outcome.replayed.push(letter.id().to_owned());
                    receipts.extend(letter.receipts());
                }
                Err(error) => {
                    eprintln!("{} was not sent: {error}", letter.id());
                    outcome.failed.push(letter.id().to_owned());
                    staying.push(letter);
                }
            }
        }
        let kept = read.queue.delete(&receipts).await.iter().filter(|result| result.is_err()).count();
        if kept > 0 {
            eprintln!("{kept} dead letters were sent but not deleted; replaying them again would do nothing");
        }
        read.letters = staying;
        outcome
    }

    fn print(&self, outcome: &Outcome) -> anyhow::Result<()> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(outcome)?);
            return Ok(());
        }
        let verb = if outcome.executed { "replayed" } else { "would replay" };
        for (what, ids) in [
            (verb, &outcome.replayed),
            ("already applied, left alone", &outcome.already_applied),
            ("could not be sent", &outcome.failed),
            ("not found", &outcome.not_found),
        ] {
            for id in ids {
                outln!("{what}: {id}");
            }
        }
        for Unreplayable { id, reason } in &outcome.would_die_again {
            outln!("would die again as {reason}, left alone: {id}");
        }
        let count = outcome.replayed.len();
        match outcome.executed {
            true => eprintln!("{count} events are on their way again"),
            false if count == 0 => eprintln!("nothing to replay"),
            false => eprintln!("{count} events would be replayed; --execute does it"),
        }
        Ok(())
    }
}

/// As it first was: what is said of an old failure would be wrong of the next one.
fn without_report(letter: &DeadLetter) -> OutgoingMessage {
    let mut message = letter.copies[0].to_outgoing();
    message.attributes.remove(FAILURE_ATTRIBUTE);
    message
}
