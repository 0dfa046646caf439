use std::process::ExitCode;

use clap::Args;
use contracts::{Landscape, PayloadField, payload_fields};
use schemas::{SchemaEntry, all_schemas, redact};
use serde_json::{Value, json};

use super::entry;
use crate::{landscape::landscape, outln};

#[derive(Debug, Args)]
pub struct Show {
    /// `user.created`, or `user.created@1` for an older version
    #[arg(value_name = "TYPE[@VERSION]")]
    event: String,
    /// Print the JSON Schema and nothing else
    #[arg(long, conflicts_with = "json")]
    schema: bool,
    /// Print everything as JSON, the schema included
    #[arg(long)]
    json: bool,
}

impl Show {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let entry = entry(&self.event)?;
        let landscape = landscape();
        if self.schema {
            outln!("{}", serde_json::to_string_pretty(&entry.json_schema())?);
        } else if self.json {
            outln!("{}", serde_json::to_string_pretty(&described(entry, &landscape))?);
        } else {
            print(entry, &landscape)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// As its schema lets it be shown.
fn example(entry: &SchemaEntry) -> Option<Value> {
    let example = entry.examples().find(|example| example.valid)?;
    let data = serde_json::from_str(example.text).ok()?;
    Some(redact(entry.event_type.as_str(), entry.version, &data))
}

fn versions(entry: &SchemaEntry) -> Vec<u32> {
    all_schemas().iter().filter(|other| other.event_type == entry.event_type).map(|other| other.version).collect()
}

fn described(entry: &SchemaEntry, landscape: &Landscape) -> Value {
    let readers = landscape.readers_of(entry.event_type.as_str()).map(|reader| {
        json!({ "consumer": reader.consumer, "handler": reader.handler, "version": reader.version, "fields": reader.fields })
    });
    json!({
        "event": entry.event_type.as_str(),
        "version": entry.version,
        "versions": versions(entry),
        "description": entry.description(),
        "producer": entry.producer,
        "sent": landscape.is_sent(entry.event_type.as_str()),
        "readers": readers.collect::<Vec<_>>(),
        "example": example(entry),
        "schema": entry.json_schema(),
    })
}

fn print(entry: &SchemaEntry, landscape: &Landscape) -> anyhow::Result<()> {
    let event = entry.event_type.as_str();
    outln!("{}: {}", entry.title(), entry.description());
    let versions: Vec<_> = versions(entry).iter().map(u32::to_string).collect();
    outln!("versions   {}", versions.join(", "));
    let not_yet = if landscape.is_sent(event) { "" } else { ", once its code does: nothing sends it yet" };
    outln!("sent by    {}{not_yet}", entry.producer);
    for reader in landscape.readers_of(event) {
        outln!(
            "read by    {} ({}), as version {}: {}",
            reader.consumer,
            reader.handler,
            reader.version,
            reader.fields.join(", ")
        );
    }
    if landscape.readers_of(event).next().is_none() {
        outln!("read by    nobody yet");
    }
    outln!("");
    let fields = payload_fields(&entry.json_schema());
    let width = fields.iter().map(|field| field.pointer.len()).max().unwrap_or_default();
    for PayloadField { pointer, holds, required, class, description } in fields {
        let must = if required { "required" } else { "optional" };
        outln!("{pointer:<width$}  {must}  {:<6}  {holds}", class.as_deref().unwrap_or("-"));
        if !description.is_empty() {
            outln!("{:width$}  {description}", "");
        }
    }
    if let Some(example) = example(entry) {
        outln!("\n{}", serde_json::to_string_pretty(&example)?);
    }
    if let Some(prose) = entry.prose() {
        outln!("\n{}", prose.trim_end());
    }
    Ok(())
}
