//! What checks and tools say of the events that there are, and of what could become of them.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod catalog;
mod catalog_asyncapi;
mod catalog_references;
mod instances;
mod mutations;
mod releases;

use contracts::{Landscape, Reader};
use schemas::{SchemaEntry, all_schemas};

/// A consumer `mailer` that reads some fields of every event.
fn read_by_mailer(fields: &[&str]) -> Landscape {
    let newest = all_schemas().iter().filter(|entry| {
        SchemaEntry::newest(entry.event_type.as_str()).is_some_and(|newest| newest.version == entry.version)
    });
    let reader = |entry: &SchemaEntry| Reader {
        consumer: "mailer".to_owned(),
        handler: "send_notice".to_owned(),
        event_type: entry.event_type,
        version: entry.version,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    Landscape { readers: newest.map(reader).collect(), ..Landscape::default() }
}
