//! The flow as a Mermaid diagram, which forges draw.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    markdown::fenced,
    system::{Event, System},
};

/// One event's way: producer, topic, queues, handlers, and where it ends when it can't go on.
pub fn of_event(system: &System<'_>, event: &Event<'_>) -> String {
    let mut graph = "flowchart LR\n".to_owned();
    let topic = system.names.topic(event.name());
    let topic_label = format!("topic<br/>{topic}");
    let (state, arrow) = if event.is_sent { ("", "-->|outbox and relay|") } else { ("<br/>not yet", "-.->") };
    line(&mut graph, &format!("producer[\"{}{state}\"] {arrow} topic([\"{topic_label}\"])", event.producer()));
    for (at, consumer) in event.consumers().into_iter().enumerate() {
        let (queue, dead) = (system.names.queue(consumer), system.names.dead_letter_queue(consumer));
        let undelivered = system.names.undelivered_queue(consumer);
        line(&mut graph, &format!("topic --> queue{at}[[\"queue<br/>{queue}\"]]"));
        for (number, reader) in event.readers.iter().filter(|reader| reader.consumer == consumer).enumerate() {
            line(&mut graph, &format!("queue{at} --> handler{at}_{number}[\"{consumer}<br/>{}\"]", reader.handler));
        }
        line(&mut graph, &format!("queue{at} -.->|can't be applied| dead{at}[[\"{dead}\"]]"));
        line(&mut graph, &format!("topic -.->|can't be delivered| undelivered{at}[[\"{undelivered}\"]]"));
    }
    fenced("mermaid", &graph)
}

/// Who sends to whom. Events that nobody sends yet are left to the table.
pub fn of_system(system: &System<'_>) -> String {
    let mut graph = "flowchart LR\n".to_owned();
    let names: Vec<_> = system.services.keys().copied().collect();
    let service = |name: &str| names.iter().position(|each| *each == name).unwrap_or_default();
    let sent: Vec<_> = system.events.values().filter(|event| event.is_sent).collect();
    let producers = sent.iter().map(|event| event.producer());
    let shown: BTreeSet<_> = producers.chain(sent.iter().flat_map(|event| event.consumers())).collect();
    for name in shown {
        line(&mut graph, &format!("service{}[\"{name}\"]", service(name)));
    }
    for (at, event) in sent.iter().enumerate() {
        let producer = service(event.producer());
        line(&mut graph, &format!("service{producer} --> event{at}([\"{}\"])", event.name()));
        for consumer in event.consumers() {
            line(&mut graph, &format!("event{at} --> service{}", service(consumer)));
        }
    }
    fenced("mermaid", &graph)
}

fn line(graph: &mut String, text: &str) {
    writeln!(graph, "    {text}").expect("writing to a String never fails");
}
