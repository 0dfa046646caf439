//! `waypost events`: the events that there are, payloads of them, and those that pass.
//!
//! Whatever shows a payload redacts it by the classification of its schema, unless told to `--reveal` it.

mod backfill;
mod list;
mod publish;
mod sample;
mod show;
mod tail;
mod validate;

use std::{
    fs,
    io::{self, Read},
    process::ExitCode,
};

use anyhow::Context;
use clap::Subcommand;
use schemas::{SchemaEntry, all_schemas};
use serde_json::value::RawValue;
use service::settings::Env;

use crate::Usage;

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Every event, who sends it and who reads it
    List(list::List),
    /// One event: its fields, its readers, an example
    Show(show::Show),
    /// Check payloads, or whole events, against their schemas; exit 1 where one is not valid
    Validate(validate::Validate),
    /// Print valid payloads at random, one a line
    Sample(sample::Sample),
    /// Send events, as the service that sends them would, once all of them are valid
    Publish(publish::Publish),
    /// Tell a consumer that is new or was emptied what is so now, straight into its queue
    ///
    /// Its queue has to be subscribed before (`waypost topology apply`), so that what happens meanwhile comes to it as well. Events
    /// have the version that their account or product has: whoever knows as much, or more, passes them over.
    Backfill(backfill::Backfill),
    /// Print events as they pass, from a queue of its own
    Tail(tail::Tail),
}

impl EventsCommand {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.execute(),
            Self::Show(show) => show.execute(),
            Self::Validate(validate) => validate.execute(),
            Self::Sample(sample) => sample.execute(),
            Self::Publish(publish) => publish.execute(env).await,
            Self::Backfill(backfill) => backfill.execute(env).await,
            Self::Tail(tail) => tail.execute(env).await,
        }
    }
}

/// `user.created`, the newest version, or `user.created@1`.
fn entry(name: &str) -> Result<&'static SchemaEntry, Usage> {
    let found = match name.split_once('@') {
        None => SchemaEntry::newest(name),
        Some((event, version)) => version.parse().ok().and_then(|version| SchemaEntry::find(event, version)),
    };
    found.ok_or_else(|| {
        let event = name.split('@').next().unwrap_or_default();
        let versions: Vec<_> = all_schemas()
            .iter()
            .filter(|entry| entry.event_type.as_str() == event)
            .map(|entry| entry.version.to_string())
            .collect();
        Usage(match versions.is_empty() {
            true => format!("there is no event `{event}`; `waypost events list` tells which there are"),
            false => format!("`{name}` is not a version of {event}; it has {}", versions.join(", ")),
        })
    })
}

/// Documents of a file, or of stdin for `-`: one, or many one after the other.
fn documents(path: &str) -> anyhow::Result<Vec<Box<RawValue>>> {
    let mut text = String::new();
    let read = match path {
        "-" => io::stdin().read_to_string(&mut text).map(drop),
        _ => fs::read_to_string(path).map(|all| text = all),
    };
    let name = called(path);
    read.with_context(|| format!("could not read {name}"))?;
    let documents = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<Vec<_>, _>>();
    let documents = documents.with_context(|| format!("{name} is not JSON"))?;
    if documents.is_empty() { Err(Usage(format!("{name} holds no document")).into()) } else { Ok(documents) }
}

fn called(path: &str) -> &str {
    if path == "-" { "stdin" } else { path }
}
