//! Who sends what to whom, as a picture: services, topics, queues, consumers, and where what fails ends.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use contracts::Landscape;
use messaging::Names;

use crate::{producers::sending_process, run::process_of};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GraphFormat {
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Service,
    Topic,
    Queue,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    kind: Kind,
    name: String,
}

/// Nodes, and what goes from one to another.
struct Graph {
    nodes: BTreeSet<Node>,
    edges: BTreeMap<(Node, Node), &'static str>,
}

pub fn graph(landscape: &Landscape, names: &Names, format: GraphFormat) -> String {
    let graph = Graph::of(landscape, names);
    match format {
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
    }
}

impl Graph {
    fn of(landscape: &Landscape, names: &Names) -> Self {
        let node = |kind, name: &str| Node { kind, name: name.to_owned() };
        let mut graph = Self { nodes: BTreeSet::new(), edges: BTreeMap::new() };
        for sender in &landscape.senders {
            for event in &sender.events {
                let topic = node(Kind::Topic, &names.topic(event.as_str()));
                graph.edge(node(Kind::Service, sending_process(sender.service)), topic, "publishes");
            }
        }
        for subscriber in &landscape.subscribers {
            let consumer = &subscriber.consumer;
            let queue = node(Kind::Queue, &names.queue(consumer));
            let undelivered = node(Kind::Queue, &names.undelivered_queue(consumer));
            for event in &subscriber.events {
                let topic = node(Kind::Topic, &names.topic(event.as_str()));
                graph.edge(topic.clone(), queue.clone(), "delivers");
                graph.edge(topic, undelivered.clone(), "could not deliver");
            }
            graph.edge(queue.clone(), node(Kind::Queue, &names.dead_letter_queue(consumer)), "dead letters");
            graph.edge(queue, node(Kind::Service, process_of(consumer)), "is read by");
        }
        graph
    }

    fn edge(&mut self, from: Node, to: Node, label: &'static str) {
        self.nodes.extend([from.clone(), to.clone()]);
        self.edges.insert((from, to), label);
    }

    fn mermaid(&self) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        lines.extend(self.nodes.iter().map(|node| {
            let (open, close) = match node.kind {
                Kind::Service => ("[", "]"),
                Kind::Topic => ("{{", "}}"),
                Kind::Queue => ("[(", ")]"),
            };
            format!("    {}{open}\"{}\"{close}", node.id(), node.name)
        }));
        lines.extend(self.edges.iter().map(|((from, to), label)| {
            let arrow = if is_failure(label) { "-.->" } else { "-->" };
            format!("    {} {arrow}|{label}| {}", from.id(), to.id())
        }));
        lines.join("\n")
    }

    fn dot(&self) -> String {
        let mut lines = vec!["digraph topology {".to_owned(), "    rankdir=LR;".to_owned()];
        lines.extend(self.nodes.iter().map(|node| {
            let shape = match node.kind {
                Kind::Service => "box",
                Kind::Topic => "hexagon",
                Kind::Queue => "cylinder",
            };
            format!("    {} [label=\"{}\", shape={shape}];", node.id(), node.name)
        }));
        lines.extend(self.edges.iter().map(|((from, to), label)| {
            let style = if is_failure(label) { ", style=dashed" } else { "" };
            format!("    {} -> {} [label=\"{label}\"{style}];", from.id(), to.id())
        }));
        lines.push("}".to_owned());
        lines.join("\n")
    }
}

fn is_failure(label: &str) -> bool {
    matches!(label, "dead letters" | "could not deliver")
}

impl Node {
    /// For both languages. A queue may be called as a service is.
    fn id(&self) -> String {
        let kind = match self.kind {
            Kind::Service => "service",
            Kind::Topic => "topic",
            Kind::Queue => "queue",
        };
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("{kind}_{name}")
    }
}

#[cfg(test)]
mod tests {
    use contracts::Sender;
    use messaging::{QueueSettings, Subscriber};
    use schemas::EventType;

    use super::*;

    fn landscape() -> Landscape {
        let (happened, left) = (EventType::new("test.happened"), EventType::new("test.left"));
        let subscriber =
            Subscriber { consumer: "reader".to_owned(), events: [happened].into(), settings: QueueSettings::DEFAULT };
        Landscape {
            senders: vec![Sender { service: "writer", events: [happened, left].into() }],
            subscribers: vec![subscriber],
            ..Landscape::default()
        }
    }

    #[test]
    fn mermaid_shows_the_way_of_an_event_and_where_failures_end() {
        let expected = r#"flowchart LR
    service_reader["reader"]
    service_writer["writer"]
    topic_dev_test_happened{{"dev-test-happened"}}
    topic_dev_test_left{{"dev-test-left"}}
    queue_dev_reader[("dev-reader")]
    queue_dev_reader_dlq[("dev-reader-dlq")]
    queue_dev_reader_undelivered[("dev-reader-undelivered")]
    service_writer -->|publishes| topic_dev_test_happened
    service_writer -->|publishes| topic_dev_test_left
    topic_dev_test_happened -->|delivers| queue_dev_reader
    topic_dev_test_happened -.->|could not deliver| queue_dev_reader_undelivered
    queue_dev_reader -->|is read by| service_reader
    queue_dev_reader -.->|dead letters| queue_dev_reader_dlq"#;
        assert_eq!(graph(&landscape(), &Names::with_prefix("dev-"), GraphFormat::Mermaid), expected);
    }

    #[test]
    fn dot_shows_the_same() {
        let expected = r#"digraph topology {
    rankdir=LR;
    service_reader [label="reader", shape=box];
    service_writer [label="writer", shape=box];
    topic_test_happened [label="test-happened", shape=hexagon];
    topic_test_left [label="test-left", shape=hexagon];
    queue_reader [label="reader", shape=cylinder];
    queue_reader_dlq [label="reader-dlq", shape=cylinder];
    queue_reader_undelivered [label="reader-undelivered", shape=cylinder];
    service_writer -> topic_test_happened [label="publishes"];
    service_writer -> topic_test_left [label="publishes"];
    topic_test_happened -> queue_reader [label="delivers"];
    topic_test_happened -> queue_reader_undelivered [label="could not deliver", style=dashed];
    queue_reader -> service_reader [label="is read by"];
    queue_reader -> queue_reader_dlq [label="dead letters", style=dashed];
}"#;
        assert_eq!(graph(&landscape(), &Names::default(), GraphFormat::Dot), expected);
    }
}
