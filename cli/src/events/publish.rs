//! Events from a file onto their topic, past every outbox: for trying things out, and for mending by hand.
//!
//! All of them are checked before the first one leaves. Each gets an id and the time of its own, so a payload that is
//! published twice is two events.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use contracts::{PayloadProblem, payload_problems};
use messaging::OutgoingMessage;
use schemas::{Clock, Envelope, Header, SchemaEntry, Sequence, event_id};
use serde_json::{json, value::RawValue};
use service::settings::Env;

use super::{documents, entry};
use crate::{bus::BusSettings, outln};

#[derive(Debug, Args)]
pub struct Publish {
    /// `user.created`, or `user.created@1` for an older version
    #[arg(long = "type", value_name = "TYPE[@VERSION]")]
    event: String,
    /// One payload or many, `-` for stdin
    #[arg(long, value_name = "FILE|-")]
    data: String,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what was sent as JSON
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let entry = entry(&self.event)?;
        let documents = documents(&self.data)?;
        let invalid: Vec<_> = documents.iter().map(|document| payload_problems(entry, document)).collect();
        if invalid.iter().any(|problems| !problems.is_empty()) {
            for (at, problems) in invalid.iter().enumerate() {
                for PayloadProblem { pointer, what } in problems {
                    let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
                    eprintln!("document {}, {}: {place}{what}", at + 1, entry.title());
                }
            }
            eprintln!("nothing was sent");
            return Ok(ExitCode::FAILURE);
        }

        let clock = Clock::system();
        let envelopes: Vec<_> = documents.iter().map(|data| wrap(entry, data, &clock)).collect::<Result<_, _>>()?;
        let settings = BusSettings::from_env(env)?;
        let topic = settings.names().topic(entry.event_type.as_str());
        if self.dry_run {
            for envelope in &envelopes {
                outln!("{}", envelope.redacted());
            }
            eprintln!("{} events would go to {topic}; nothing was sent", envelopes.len());
            return Ok(ExitCode::SUCCESS);
        }
        let messages: Vec<_> = envelopes.iter().map(message).collect::<Result<_, _>>()?;
        let results = settings.publisher().await?.publish(entry.event_type.as_str(), &messages).await;
        let failed = results.iter().filter(|result| result.is_err()).count();
        for (envelope, result) in envelopes.iter().zip(&results) {
            let error = result.as_ref().err().map(ToString::to_string);
            match (self.json, error) {
                (true, error) => outln!("{}", json!({ "id": envelope.id, "topic": topic, "error": error })),
                (false, None) => outln!("{}", envelope.id),
                (false, Some(error)) => eprintln!("{} was not sent: {error}", envelope.id),
            }
        }
        eprintln!("{} of {} events sent to {topic}", results.len() - failed, results.len());
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// As the producer would, at this moment.
fn wrap(entry: &SchemaEntry, data: &RawValue, clock: &Clock) -> anyhow::Result<Envelope> {
    let now = clock.now();
    let header = Header {
        id: event_id(now),
        source: entry.producer,
        time: now,
        sequence: Sequence::after(None, now),
        traceparent: None,
    };
    entry.wrap(data, header).context("the payload can't be read")
}

pub(super) fn message(envelope: &Envelope) -> anyhow::Result<OutgoingMessage> {
    let version = i32::try_from(envelope.schemaversion).context("no version is as high as that")?;
    Ok(outbox::message(&envelope.event_type, version, &envelope.source, serde_json::to_string(envelope)?))
}
