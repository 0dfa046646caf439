use std::process::ExitCode;

use clap::Args;
use schemas::{SchemaEntry, all_schemas};
use serde::Serialize;

use crate::{landscape::landscape, outln};

#[derive(Debug, Args)]
pub struct List {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    event: &'static str,
    versions: Vec<u32>,
    /// The service whose event it is.
    producer: &'static str,
    /// Whether any code sends it yet.
    sent: bool,
    consumers: Vec<String>,
    description: String,
}

impl List {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let landscape = landscape();
        let mut rows: Vec<Row> = Vec::new();
        for SchemaEntry { event_type, version, producer, .. } in all_schemas() {
            if let Some(row) = rows.iter_mut().find(|row| row.event == event_type.as_str()) {
                row.versions.push(*version);
                continue;
            }
            let newest = SchemaEntry::newest(event_type.as_str());
            rows.push(Row {
                event: event_type.as_str(),
                versions: vec![*version],
                producer,
                sent: landscape.is_sent(event_type.as_str()),
                consumers: landscape.readers_of(event_type.as_str()).map(|reader| reader.consumer.clone()).collect(),
                description: newest.map(SchemaEntry::description).unwrap_or_default(),
            });
        }
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rows)?);
            return Ok(ExitCode::SUCCESS);
        }
        outln!("{:<34} {:<8} {:<18} {:<16} {}", "event", "versions", "sent by", "read by", "what it says");
        for row in &rows {
            let versions: Vec<_> = row.versions.iter().map(u32::to_string).collect();
            let producer = if row.sent { row.producer.to_owned() } else { format!("({})", row.producer) };
            let consumers = if row.consumers.is_empty() { "-".to_owned() } else { row.consumers.join(", ") };
            outln!("{:<34} {:<8} {producer:<18} {consumers:<16} {}", row.event, versions.join(", "), row.description);
        }
        if rows.iter().any(|row| !row.sent) {
            eprintln!("(in brackets: there is a schema, but no code sends the event yet)");
        }
        Ok(ExitCode::SUCCESS)
    }
}
