use std::process::ExitCode;

use clap::Args;
use contracts::{PayloadProblem, payload_problems};
use schemas::{Envelope, SchemaEntry};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{called, documents, entry};
use crate::{Usage, outln};

#[derive(Debug, Args)]
pub struct Validate {
    /// One document or many, `-` for stdin: whole events, or with --type payloads
    #[arg(value_name = "FILE|-")]
    file: String,
    /// Take the documents for payloads of this event
    #[arg(long = "type", value_name = "TYPE[@VERSION]")]
    event: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    /// From one.
    document: usize,
    /// `user.created v2`, where it can be told.
    event: Option<String>,
    problems: Vec<PayloadProblem>,
}

impl Validate {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let payload_of = self.event.as_deref().map(entry).transpose()?;
        let documents = documents(&self.file)?;
        let judge = |(at, document): (usize, &RawValue)| {
            let (event, problems) = match payload_of {
                Some(entry) => (Some(entry.title()), payload_problems(entry, document)),
                None => of_event(document),
            };
            Outcome { document: at + 1, event, problems }
        };
        let outcomes: Vec<_> = documents.iter().map(AsRef::as_ref).enumerate().map(judge).collect();
        let invalid = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
        if invalid > 0 && payload_of.is_none() && documents.iter().all(|document| !looks_like_an_event(document)) {
            let text = format!("{} holds no event; with --type, it is taken for a payload", called(&self.file));
            return Err(Usage(text).into());
        }
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&outcomes)?);
        } else {
            for Outcome { document, event, problems } in &outcomes {
                let event = event.as_deref().unwrap_or("no event that is known");
                for PayloadProblem { pointer, what } in problems {
                    let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
                    outln!("document {document}, {event}: {place}{what}");
                }
            }
        }
        eprintln!("{} of {} valid", outcomes.len() - invalid, outcomes.len());
        Ok(if invalid == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn looks_like_an_event(document: &RawValue) -> bool {
    let read: Result<Value, _> = serde_json::from_str(document.get());
    read.is_ok_and(|value| value.get("specversion").is_some() || value.get("Message").is_some())
}

/// A whole event, as it is in a queue.
fn of_event(document: &RawValue) -> (Option<String>, Vec<PayloadProblem>) {
    let whole = |what: String| vec![PayloadProblem { pointer: String::new(), what }];
    let envelope = match Envelope::read(messaging::unwrap_notification(document.get()).as_str()) {
        Ok((envelope, _)) => envelope,
        Err(error) => return (None, whole(service::ErrorChain(&error).to_string())),
    };
    let title = format!("{} v{}", envelope.event_type, envelope.schemaversion);
    match SchemaEntry::find(&envelope.event_type, envelope.schemaversion) {
        Some(entry) => (Some(title), payload_problems(entry, &envelope.data)),
        None => (None, whole(format!("there is no schema of {title}"))),
    }
}
