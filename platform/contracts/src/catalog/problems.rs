//! What refers to something that isn't there.

use std::fmt;

use schemas::SchemaEntry;
use serde_json::Value;

use super::{
    Files, markdown, prose,
    system::{System, handler_name},
};
use crate::Reader;

/// Something that keeps the catalog from being right, whatever its files say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    pub kind: ProblemKind,
    /// Whose fault it is: a handler, a service, an example, a file of prose.
    pub place: String,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemKind {
    Reference,
    Example,
    Prose,
    /// A schema that AsyncAPI's tools can't read.
    Schema,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind, place: place.into(), what: what.into() }
    }

    fn dangling(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Reference, place, what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

pub fn of_references(system: &System<'_>) -> Vec<Problem> {
    let mut problems: Vec<_> = system.landscape.readers.iter().flat_map(|reader| of_reader(system, reader)).collect();
    problems.extend(of_senders(system));
    problems.extend(of_subscribers(system));
    problems.extend(prose::problems(system));
    problems
}

fn of_reader(system: &System<'_>, reader: &Reader) -> Vec<Problem> {
    let (place, event, version) = (handler_name(reader), reader.event_type, reader.version);
    let Some(newest) = SchemaEntry::newest(event.as_str()) else {
        return vec![Problem::dangling(place, format!("reads `{event}`, which has no schema"))];
    };
    let mut problems = Vec::new();
    let listens = |events: &std::collections::BTreeSet<_>| events.contains(&event);
    if !system.landscape.subscribers.iter().any(|each| each.consumer == reader.consumer && listens(&each.events)) {
        problems.push(Problem::dangling(&place, format!("reads `{event}`, which its queue is not subscribed to")));
    }
    let Some(entry) = SchemaEntry::find(event.as_str(), version) else {
        let what = format!("reads version {version} of `{event}`, and the newest one is {}", newest.version);
        problems.push(Problem::dangling(place, what));
        return problems;
    };
    let schema = entry.json_schema();
    for pointer in reader.fields.iter().filter(|pointer| !has_field(&schema, pointer)) {
        let what = format!("reads `{pointer}` of `{event}`, which version {version} has not");
        problems.push(Problem::dangling(&place, what));
    }
    problems
}

/// Whether payloads may have it; `*`, `-` and a number stand for an item of a list.
fn has_field(schema: &Value, pointer: &str) -> bool {
    let Some(path) = pointer.strip_prefix('/') else { return false };
    let step = |schema: &Value, part: &str| {
        let name = part.replace("~1", "/").replace("~0", "~");
        let is_item = matches!(part, "*" | "-") || part.bytes().all(|byte| byte.is_ascii_digit());
        let item = || is_item.then(|| schema.get("items")).flatten();
        schema.get("properties").and_then(|fields| fields.get(&name)).or_else(item).cloned()
    };
    path.split('/').try_fold(schema.clone(), |schema, part| step(&schema, part)).is_some()
}

fn of_senders(system: &System<'_>) -> Vec<Problem> {
    let sent =
        system.landscape.senders.iter().flat_map(|sender| sender.events.iter().map(move |event| (sender, event)));
    let problem = |(sender, event): (&crate::Sender, &schemas::EventType)| {
        let what = match SchemaEntry::newest(event.as_str()) {
            None => format!("sends `{event}`, which has no schema"),
            Some(entry) if entry.producer != sender.service => {
                format!("sends `{event}`, whose schema says that {} does", entry.producer)
            }
            Some(_) => return None,
        };
        Some(Problem::dangling(sender.service, what))
    };
    sent.filter_map(problem).collect()
}

fn of_subscribers(system: &System<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for subscriber in &system.landscape.subscribers {
        for event in &subscriber.events {
            let handled = system.landscape.readers_of(event.as_str()).any(|each| each.consumer == subscriber.consumer);
            if !handled {
                let what = format!("its queue is subscribed to `{event}`, which it has no handler for");
                problems.push(Problem::dangling(&subscriber.consumer, what));
            }
        }
    }
    problems
}

/// Links from page to page that lead nowhere.
pub fn of_links(files: &Files) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| matches!(path.rsplit_once('.'), Some((_, "md" | "mdx")))) {
        for target in markdown::links(text).filter(|target| !target.contains("://")) {
            let leads_to = markdown::resolve(path, target);
            if !leads_to.as_ref().is_some_and(|path| files.contains_key(path)) {
                problems.push(Problem::dangling(path, format!("links to `{target}`, which is not in the catalog")));
            }
        }
    }
    problems
}
