//! What there is of each event: its page, its schema, its examples and what changed, for each of its versions.

use std::fmt::Write as _;

use schemas::SchemaEntry;
use serde_json::Value;

use super::{
    Files,
    examples::{Shown, envelope_text},
    front_matter::{Yaml, block},
    graph,
    markdown::{escaped, fenced, link, table},
    prose,
    service_pages::owners,
    system::{Event, System, paths, semantic},
};
use crate::{DifferenceKind, PayloadField, SchemaDifference, payload_fields, schema_differences};

pub fn add(files: &mut Files, system: &System<'_>, shown: &Shown) {
    for event in system.events.values() {
        for entry in &event.versions {
            add_version(files, system, shown, event, entry);
        }
    }
}

/// EventCatalog keeps the newest version at the top, older ones beneath it.
fn folder(event: &Event<'_>, entry: &SchemaEntry) -> String {
    let name = event.name();
    match entry.version == event.newest().version {
        true => format!("events/{name}"),
        false => format!("events/{name}/versioned/{}", semantic(entry.version)),
    }
}

fn add_version(files: &mut Files, system: &System<'_>, shown: &Shown, event: &Event<'_>, entry: &SchemaEntry) {
    let folder = folder(event, entry);
    let at = |name: &str| format!("{folder}/{name}");
    let schema = serde_json::to_string_pretty(&entry.json_schema()).expect("a JSON value can be written") + "\n";
    files.insert(at("schema.json"), schema);
    for example in shown.of(entry) {
        files.insert(at(&format!("examples/{}.json", example.name)), example.payload.clone());
    }
    files.insert(at("changelog.mdx"), changelog(system, &at("changelog.mdx"), event, entry));
    let page = match entry.version == event.newest().version {
        true => newest_page(system, shown, event),
        false => older_page(system, shown, event, entry, &at("index.mdx")),
    };
    files.insert(at("index.mdx"), page);
}

fn front_matter(event: &Event<'_>, entry: &SchemaEntry) -> String {
    let newest = event.newest().version;
    let not_sent = "Its schema is there; no code sends it yet.";
    let draft = Yaml::from([("title", "Not sent yet".into()), ("message", not_sent.into())]);
    let message = format!("{} is the version to write; readers raise this one to it.", semantic(newest));
    block([
        ("id", Some(event.name().into())),
        ("name", Some(event.name().into())),
        ("version", Some(semantic(entry.version).into())),
        ("summary", Some(entry.description().into())),
        ("owners", Some(owners())),
        ("schemaPath", Some("schema.json".into())),
        ("draft", (!event.is_sent).then_some(draft)),
        ("deprecated", (entry.version < newest).then(|| [("message", message.into())].into())),
    ])
}

fn newest_page(system: &System<'_>, shown: &Shown, event: &Event<'_>) -> String {
    let entry = event.newest();
    let (name, page) = (event.name(), paths::event(event.name()));
    let to = |path: &str| link(&page, path);
    let mut text = front_matter(event, entry);
    let mut part = |markdown: &str| write!(text, "\n{markdown}").expect("writing to a String never fails");
    part(&format!("# {name}\n"));
    part(&format!("**{}**\n", prose::linked(system, &page, &entry.description())));
    if !event.is_sent {
        part("> **Not sent yet.** Its schema and its examples are there; no code sends it so far.\n");
    }
    part(&prose::merged(system, &page, entry.prose().unwrap_or_default()));

    part("## Flow\n");
    part(&graph::of_event(system, event));
    part(&flow(system, event, &page));

    part("## Fields\n");
    part(&field_table(system, event, entry, &page));
    part("The schema is [schema.json](schema.json). Readers pass over fields that they don't know.\n");

    if event.versions.len() > 1 {
        part("## Versions\n");
        part(&versions(event, &page));
        part("Handlers see the newest version only: an older one is raised to it step by step before they get it.\n");
    }

    if let Some(example) = shown.best(entry) {
        part("## Example\n");
        part("The body of a message. Its attributes `type`, `schemaversion` and `source` repeat what is in it.\n");
        part(&fenced("json", &envelope_text(example)));
        let file = |name: &str| format!("[{name}](examples/{name}.json)");
        let files: Vec<_> = shown.of(entry).iter().map(|example| file(example.name)).collect();
        part(&format!("Payloads alone: {}. Everything in them is made up.\n", files.join(", ")));
    }

    part("## Dead letters\n");
    part(&dead_letters(system, event));
    part(&format!("[All events]({}) · [What changed](changelog.mdx)\n", to(super::OVERVIEW)));
    text
}

fn older_page(system: &System<'_>, shown: &Shown, event: &Event<'_>, entry: &SchemaEntry, page: &str) -> String {
    let newest = link(page, &paths::event(event.name()));
    let mut text = front_matter(event, entry);
    let mut part = |markdown: &str| write!(text, "\n{markdown}").expect("writing to a String never fails");
    part(&format!("# {} {}\n", event.name(), semantic(entry.version)));
    part(&format!(
        "An older version, which may still be on its way or in a dead-letter queue. Readers raise it to \
         [{}]({newest}), the one to write.\n",
        semantic(event.newest().version)
    ));
    part(&field_table(system, event, entry, page));
    part("The schema is [schema.json](schema.json).\n");
    if let Some(example) = shown.best(entry) {
        part("## Example\n");
        part(&fenced("json", &envelope_text(example)));
    }
    text
}

fn flow(system: &System<'_>, event: &Event<'_>, page: &str) -> String {
    let service = |name: &str| format!("[{name}]({})", link(page, &paths::service(name)));
    let mut rows = Vec::new();
    for reader in &event.readers {
        let queue = system.names.queue(&reader.consumer);
        let queue = format!("[`{queue}`]({})", link(page, &paths::channel(&paths::queue_id(&queue))));
        let fields: Vec<_> = reader.fields.iter().map(|field| format!("`{field}`")).collect();
        rows.push(vec![service(&reader.consumer), format!("`{}`", reader.handler), queue, fields.join(", ")]);
    }
    let topic = system.names.topic(event.name());
    let producer = service(event.producer());
    let sends = if event.is_sent { "sends it" } else { "is to send it" };
    let topic = match system.has_topic(event.named) {
        true => format!(" to the topic [`{topic}`]({})", link(page, &paths::channel(&paths::topic_id(&topic)))),
        false => String::new(),
    };
    if rows.is_empty() {
        return format!("{producer} {sends}{topic}. Nobody reads it yet.\n");
    }
    let readers = table(&["Read by", "Handler", "From the queue", "Fields"], &rows);
    format!("{producer} {sends}{topic}.\n\n{readers}")
}

fn field_table(system: &System<'_>, event: &Event<'_>, entry: &SchemaEntry, page: &str) -> String {
    let read_by = |field: &PayloadField| {
        let of_version = event.readers.iter().filter(|reader| reader.version == entry.version);
        let reads = of_version.filter(|reader| reader.fields.iter().any(|pointer| covers(pointer, &field.pointer)));
        let mut names: Vec<_> = reads.map(|reader| reader.consumer.as_str()).collect();
        names.dedup();
        names.join(", ")
    };
    let rows = payload_fields(&entry.json_schema()).into_iter().map(|field| {
        let class = field.class.clone().map_or_else(
            || "by its parts".to_owned(),
            |class| match class.as_str() {
                "open" => class,
                guarded => format!("**{guarded}**"),
            },
        );
        let required = if field.required { "yes" } else { "no" };
        let description = prose::linked(system, page, &field.description);
        let pointer = format!("`{}`", field.pointer);
        vec![pointer, description, field.holds.replace('|', "\\|"), required.to_owned(), class, read_by(&field)]
    });
    table(&["Field", "Meaning", "Holds", "Required", "Class", "Read by"], &rows.collect::<Vec<_>>())
}

/// Whether who reads one field reads the other: an object with all of its parts, and a part with what it is in.
fn covers(read: &str, field: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(field, read) || within(read, field)
}

fn versions(event: &Event<'_>, page: &str) -> String {
    let row = |entry: &&SchemaEntry| {
        let newest = event.newest().version;
        let folder = folder(event, entry);
        let state = match entry.version == newest {
            true => "the one to write, and the one that handlers see".to_owned(),
            false => format!("raised to {} when it is read", semantic(entry.version + 1)),
        };
        let version = format!("[{}]({})", semantic(entry.version), link(page, &format!("{folder}/index.mdx")));
        vec![version, state, format!("[what changed]({})", link(page, &format!("{folder}/changelog.mdx")))]
    };
    table(&["Version", "State", ""], &event.versions.iter().rev().map(row).collect::<Vec<_>>())
}

fn dead_letters(system: &System<'_>, event: &Event<'_>) -> String {
    let mut text = String::new();
    for consumer in event.consumers() {
        let queue = system.names.dead_letter_queue(consumer);
        let commands = format!(
            "waypost dlq groups --consumer {consumer}             # by fault, the largest first\n\
             waypost dlq show --consumer {consumer} ID            # why, without personal data\n\
             waypost dlq replay --consumer {consumer} --id ID     # what would become of it\n\
             waypost dlq replay --consumer {consumer} --id ID --execute --reason 'it is mended'"
        );
        let line =
            format!("What {consumer} can't apply is in `{queue}`, with the reason:\n\n{}\n", fenced("sh", &commands));
        text += &line;
    }
    if text.is_empty() {
        return "Nobody reads it, so it has none.\n".to_owned();
    }
    text + "`unknown-version` and `breaks-schema` are the contract's: deploy a reader that knows the version, then \
            replay. An event that was applied already is recognised and not applied again.\n"
}

fn changelog(system: &System<'_>, page: &str, event: &Event<'_>, entry: &SchemaEntry) -> String {
    let mut text = format!("# {} {}\n\n", event.name(), semantic(entry.version));
    text += &prose::merged(system, page, entry.note().unwrap_or("The first version.\n"));
    let before = event.versions.iter().rfind(|other| other.version < entry.version);
    if let Some(before) = before {
        let differences = schema_differences(&before.json_schema(), &entry.json_schema());
        let title = format!("\n## Since {}\n\n", semantic(before.version));
        let lines = differences.iter().filter(|each| !each.is_annotation()).map(told);
        text += &title;
        text += &lines.collect::<String>();
    }
    text
}

fn told(difference: &SchemaDifference) -> String {
    let optional = |required: bool| if required { "required" } else { "optional" };
    let value = |value: &Value| format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let what = match &difference.kind {
        DifferenceKind::Added { required } => format!("is new, {}", optional(*required)),
        DifferenceKind::Removed { required } => format!("is gone, was {}", optional(*required)),
        DifferenceKind::Changed { keyword, from: Value::Null, to } => format!("has `{keyword}` {}", value(to)),
        DifferenceKind::Changed { keyword, from, to: Value::Null } => {
            format!("has no `{keyword}`, had {}", value(from))
        }
        DifferenceKind::Changed { keyword, from, to } => format!("has `{keyword}` {}, had {}", value(to), value(from)),
    };
    let pointer =
        if difference.pointer.is_empty() { "the payload".to_owned() } else { format!("`{}`", difference.pointer) };
    format!("- {pointer} {}\n", escaped(&what))
}
