//! The page that a forge shows for the folder.

use std::fmt::Write as _;

use super::{
    MARK, OVERVIEW, asyncapi, graph,
    markdown::{link, table},
    prose,
    system::{Event, Service, System, paths, semantic},
};

pub fn page(system: &System<'_>) -> String {
    let mut text = format!("# Event catalog\n\n{MARK}\n");
    let mut part = |markdown: &str| write!(text, "\n{markdown}").expect("writing to a String never fails");
    let sent = system.events.values().filter(|event| event.is_sent).count();
    let versions: usize = system.events.values().map(|event| event.versions.len()).sum();
    part(&format!(
        "{} types of event, in {versions} versions altogether. Services send {sent} of the types so far. Delivery is at \
         least once and in any order: a reader tells copies by the event's `id`, and the newest by `sequence`.\n",
        system.events.len(),
    ));
    part("## Who sends to whom\n");
    part(&graph::of_system(system));
    part("## Events\n");
    part(&table(
        &["Event", "Meaning", "Version", "From", "Read by", "State"],
        &system.events.values().map(|event| event_row(system, event)).collect::<Vec<_>>(),
    ));
    part("## Services\n");
    let rows: Vec<_> = system.services.values().map(service_row).collect();
    part(&table(&["Service", "Sends", "Is to send", "Reads", "Queue"], &rows));
    part("## What else is here\n");
    part(&format!(
        "- [{path}]({path}): all of it as one AsyncAPI document, for generators and viewers.\n\
         - `events/*/schema.json`: JSON Schema 2020-12, the same bytes as in `schemas/golden/`.\n\
         - `events/*/examples/`: payloads that are valid.\n\
         - The layout and the front matter are EventCatalog's, so that its site can be built from this folder.\n\n\
         Domains: {}.\n",
        system
            .families()
            .iter()
            .map(|family| format!("[{family}]({})", link(OVERVIEW, &paths::domain(family))))
            .collect::<Vec<_>>()
            .join(", "),
        path = asyncapi::PATH,
    ));
    part(
        "`waypost catalog build` writes this folder from the event types, the registered handlers and what is written \
         beside them; `waypost catalog check` fails where it is stale.\n",
    );
    text
}

fn event_row(system: &System<'_>, event: &Event<'_>) -> Vec<String> {
    let service = |name: &str| format!("[{name}]({})", link(OVERVIEW, &paths::service(name)));
    let readers: Vec<_> = event.consumers().into_iter().map(service).collect();
    vec![
        format!("[`{}`]({})", event.name(), link(OVERVIEW, &paths::event(event.name()))),
        prose::linked(system, OVERVIEW, &event.newest().description()),
        semantic(event.newest().version),
        service(event.producer()),
        readers.join(", "),
        if event.is_sent { "sent" } else { "not sent yet" }.to_owned(),
    ]
}

fn service_row(service: &Service<'_>) -> Vec<String> {
    let page = paths::service(service.name);
    let mut reads: Vec<_> = service.readers.iter().map(|reader| reader.event_type).collect();
    reads.sort_unstable();
    reads.dedup();
    let queue = service.subscriber.map(|subscriber| format!("`{}`", subscriber.consumer)).unwrap_or_default();
    vec![
        format!("[{}]({})", service.name, link(OVERVIEW, &page)),
        service.sends.len().to_string(),
        service.will_send.len().to_string(),
        reads.len().to_string(),
        queue,
    ]
}
