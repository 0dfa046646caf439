//! Services, the domains that they belong to, and who looks after them.

use std::fmt::Write as _;

use schemas::{EventType, SchemaEntry};

use super::{
    Files,
    front_matter::{Yaml, block},
    markdown::{link, table},
    prose,
    system::{Service, System, paths, semantic},
};
use crate::Reader;

const OWNERS: &str = "maintainers";

/// Nobody versions services apart from the platform, and EventCatalog wants a version.
pub const ONLY: &str = "1.0.0";

pub fn owners() -> Yaml {
    [Yaml::from(OWNERS)].into_iter().collect()
}

pub fn add(files: &mut Files, system: &System<'_>) {
    for service in system.services.values() {
        files.insert(paths::service(service.name), service_page(system, service));
    }
    for family in system.families() {
        files.insert(paths::domain(family), domain_page(system, family));
    }
    let team = block([
        ("id", Some(OWNERS.into())),
        ("name", Some("Maintainers".into())),
        ("summary", Some("Whoever maintains this repository.".into())),
    ]);
    files
        .insert(format!("teams/{OWNERS}.mdx"), team + "\nAll services and all contracts are kept in one repository.\n");
}

fn summary(service: &Service<'_>) -> String {
    let about = service.about.and_then(|text| text.split_once(": ").or_else(|| text.split_once(". ")));
    match about {
        Some((first, _)) => format!("{}.", first.replace('\n', " ").trim_end_matches('.')),
        None => "Its events have their schemas; no code of it is there yet.".to_owned(),
    }
}

fn reference(id: String, version: &str, more: impl IntoIterator<Item = (&'static str, Option<Yaml>)>) -> Yaml {
    let mut fields = vec![("id", id.into()), ("version", version.into())];
    fields.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Yaml::Map(fields)
}

fn channel(id: String, delivery: &str) -> Yaml {
    [reference(id, ONLY, [("delivery_mode", Some(delivery.into()))])].into_iter().collect()
}

fn service_page(system: &System<'_>, service: &Service<'_>) -> String {
    let page = paths::service(service.name);
    let sent = |event: &EventType| {
        let version = SchemaEntry::newest(event.as_str()).map_or(1, |entry| entry.version);
        let topic = paths::topic_id(&system.names.topic(event.as_str()));
        let to = system.has_topic(*event).then(|| channel(topic, "push"));
        reference(event.to_string(), &semantic(version), [("to", to)])
    };
    let reading = |reader: &&Reader| {
        let queue = paths::queue_id(&system.names.queue(&reader.consumer));
        let dotted = |pointer: &String| Yaml::from(pointer.trim_start_matches('/').replace('/', "."));
        let fields = reader.fields.iter().map(dotted).collect();
        let more = [("fields", Some(fields)), ("from", Some(channel(queue, "pull")))];
        reference(reader.event_type.to_string(), &semantic(reader.version), more)
    };
    let sends: Yaml = service.sends.iter().chain(&service.will_send).map(sent).collect();
    let receives: Yaml = service.readers.iter().map(reading).collect();
    let draft =
        Yaml::from([("title", "Not there yet".into()), ("message", "Only its events' schemas are there.".into())]);
    let mut text = block([
        ("id", Some(service.name.into())),
        ("name", Some(service.name.into())),
        ("version", Some(ONLY.into())),
        ("summary", Some(summary(service).into())),
        ("owners", Some(owners())),
        ("draft", (!service.runs()).then_some(draft)),
        ("sends", Some(sends)),
        ("receives", Some(receives)),
    ]);
    let mut part = |markdown: &str| write!(text, "\n{markdown}").expect("writing to a String never fails");
    part(&format!("# {}\n", service.name));
    match service.about {
        Some(about) => part(&prose::merged(system, &page, about)),
        None => part(&format!("> **Not there yet.** {}\n", summary(service))),
    }
    let events = |title: &[&str], events: &std::collections::BTreeSet<EventType>| {
        let row = |event: &EventType| {
            let about = SchemaEntry::newest(event.as_str()).map(SchemaEntry::description).unwrap_or_default();
            vec![event_link(&page, event.as_str()), prose::linked(system, &page, &about)]
        };
        table(title, &events.iter().map(row).collect::<Vec<_>>())
    };
    if !service.sends.is_empty() {
        part("## Sends\n");
        part(&events(&["Event", "Meaning"], &service.sends));
    }
    if !service.will_send.is_empty() {
        part("## Is to send\n");
        part("Their schemas are there; no code sends them yet.\n");
        part(&events(&["Event", "Meaning"], &service.will_send));
    }
    if !service.readers.is_empty() {
        let queue = service.subscriber.map(|subscriber| system.names.queue(&subscriber.consumer)).unwrap_or_default();
        part("## Receives\n");
        part(&format!("From the queue [`{queue}`]({}).\n", link(&page, &paths::channel(&paths::queue_id(&queue)))));
        let row = |reader: &&Reader| {
            let fields: Vec<_> = reader.fields.iter().map(|field| format!("`{field}`")).collect();
            let event = event_link(&page, reader.event_type.as_str());
            vec![event, semantic(reader.version), format!("`{}`", reader.handler), fields.join(", ")]
        };
        let rows: Vec<_> = service.readers.iter().map(row).collect();
        part(&table(&["Event", "As version", "Handler", "Fields that it reads"], &rows));
    }
    text
}

fn event_link(page: &str, name: &str) -> String {
    format!("[`{name}`]({})", link(page, &paths::event(name)))
}

fn domain_page(system: &System<'_>, family: &str) -> String {
    let page = paths::domain(family);
    let of_family = || system.services.values().filter(|service| service.families().contains(family));
    let services: Yaml = of_family().map(|service| reference(service.name.to_owned(), ONLY, [])).collect();
    let mut text = block([
        ("id", Some(family.into())),
        ("name", Some(family.into())),
        ("version", Some(ONLY.into())),
        ("summary", Some(format!("Everything that happens to a {family}.").into())),
        ("owners", Some(owners())),
        ("services", Some(services)),
    ]);
    let mut part = |markdown: &str| write!(text, "\n{markdown}").expect("writing to a String never fails");
    part(&format!("# {family}\n"));
    let events = || system.events.values().filter(|event| event.named.family() == family);
    let prose = events().find_map(|event| event.named.family_prose()).unwrap_or_default();
    part(&prose::merged(system, &page, prose));
    let row = |event: &super::system::Event<'_>| {
        let about = prose::linked(system, &page, &event.newest().description());
        vec![event_link(&page, event.name()), about]
    };
    part(&table(&["Event", "Meaning"], &events().map(row).collect::<Vec<_>>()));
    let services =
        of_family().map(|service| format!("[{}]({})", service.name, link(&page, &paths::service(service.name))));
    part(&format!("Services: {}.\n", services.collect::<Vec<_>>().join(", ")));
    text
}
