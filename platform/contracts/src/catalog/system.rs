//! What the pages and the document are written from: events, services, topics and queues, each with its names.

use std::collections::{BTreeMap, BTreeSet};

use messaging::{Names, Subscriber};
use schemas::{EventType, SchemaEntry, all_schemas};

use super::CatalogSource;
use crate::{Landscape, Reader};

pub struct System<'a> {
    pub landscape: &'a Landscape,
    /// In the order of their names, as everything here: the order of registration says nothing.
    pub subscribers: Vec<&'a Subscriber>,
    pub names: &'a Names,
    /// By name.
    pub events: BTreeMap<&'static str, Event<'a>>,
    /// By name: those that run, and those that only a schema names as a producer.
    pub services: BTreeMap<&'a str, Service<'a>>,
}

/// One type of event, in all its versions.
pub struct Event<'a> {
    pub named: EventType,
    /// Oldest first.
    pub versions: Vec<&'static SchemaEntry>,
    /// Whether there is code that sends it.
    pub is_sent: bool,
    pub readers: Vec<&'a Reader>,
}

pub struct Service<'a> {
    pub name: &'a str,
    pub about: Option<&'a str>,
    /// Those that its code sends.
    pub sends: BTreeSet<EventType>,
    /// Those that its schemas are there for, and no code yet.
    pub will_send: BTreeSet<EventType>,
    pub readers: Vec<&'a Reader>,
    pub subscriber: Option<&'a Subscriber>,
}

impl<'a> System<'a> {
    pub fn of(source: &CatalogSource<'a>) -> Self {
        let CatalogSource { landscape, names, abouts } = *source;
        let mut events: BTreeMap<_, Event<'_>> = BTreeMap::new();
        for entry in all_schemas() {
            let name = entry.event_type.as_str();
            let event = events.entry(name).or_insert_with(|| Event {
                named: entry.event_type,
                versions: Vec::new(),
                is_sent: landscape.is_sent(name),
                readers: sorted(landscape.readers_of(name)),
            });
            event.versions.push(entry);
        }
        let senders = landscape.senders.iter().map(|sender| sender.service);
        let consumers = landscape.subscribers.iter().map(|subscriber| subscriber.consumer.as_str());
        let readers = landscape.readers.iter().map(|reader| reader.consumer.as_str());
        let producers = all_schemas().iter().map(|entry| entry.producer);
        let all = senders.chain(consumers).chain(readers).chain(producers);
        let services = all.map(|name| (name, Service::of(name, landscape, abouts))).collect();
        let mut subscribers: Vec<_> = landscape.subscribers.iter().collect();
        subscribers.sort_by_key(|subscriber| &subscriber.consumer);
        Self { landscape, subscribers, names, events, services }
    }

    pub fn is_event(&self, name: &str) -> bool {
        self.events.contains_key(name)
    }

    /// In the order of their names.
    pub fn families(&self) -> BTreeSet<&'static str> {
        self.events.values().map(|event| event.named.family()).collect()
    }

    pub fn topics(&self) -> BTreeSet<EventType> {
        self.landscape.topology().topics()
    }

    pub fn has_topic(&self, event: EventType) -> bool {
        self.topics().contains(&event)
    }
}

impl<'a> Service<'a> {
    fn of(name: &'a str, landscape: &'a Landscape, abouts: &[(&'a str, &'a str)]) -> Self {
        let sends: BTreeSet<_> = landscape
            .senders
            .iter()
            .filter(|sender| sender.service == name)
            .flat_map(|sender| sender.events.iter().copied())
            .collect();
        let of_schemas = all_schemas().iter().filter(|entry| entry.producer == name).map(|entry| entry.event_type);
        Self {
            name,
            about: abouts.iter().find_map(|(service, about)| (*service == name).then_some(*about)),
            will_send: of_schemas.filter(|event| !sends.contains(event)).collect(),
            sends,
            readers: sorted(landscape.readers.iter().filter(|reader| reader.consumer == name)),
            subscriber: landscape.subscribers.iter().find(|subscriber| subscriber.consumer == name),
        }
    }

    /// Whether there is code of it.
    pub fn runs(&self) -> bool {
        !self.sends.is_empty() || self.subscriber.is_some()
    }

    /// What its events are about: those that it sends, or else those that it reads.
    pub fn families(&self) -> BTreeSet<&'static str> {
        let sent: BTreeSet<_> = self.sends.iter().chain(&self.will_send).map(|event| event.family()).collect();
        if sent.is_empty() { self.readers.iter().map(|reader| reader.event_type.family()).collect() } else { sent }
    }
}

impl Event<'_> {
    pub fn name(&self) -> &'static str {
        self.named.as_str()
    }

    pub fn newest(&self) -> &'static SchemaEntry {
        self.versions.last().expect("an event has a version")
    }

    pub fn producer(&self) -> &'static str {
        self.newest().producer
    }

    /// In the order of their names.
    pub fn consumers(&self) -> BTreeSet<&str> {
        self.readers.iter().map(|reader| reader.consumer.as_str()).collect()
    }
}

fn sorted<'a>(readers: impl Iterator<Item = &'a Reader>) -> Vec<&'a Reader> {
    let mut readers: Vec<_> = readers.collect();
    readers.sort_by_key(|reader| (&reader.consumer, reader.event_type, &reader.handler));
    readers
}

/// Contracts count their versions; EventCatalog wants semantic ones. A change that breaks nobody makes no version.
pub fn semantic(version: u32) -> String {
    format!("{version}.0.0")
}

/// Where things are within the catalog, and what EventCatalog knows them by.
pub mod paths {
    pub fn event(name: &str) -> String {
        format!("events/{name}/index.mdx")
    }

    pub fn service(name: &str) -> String {
        format!("services/{name}/index.mdx")
    }

    pub fn domain(family: &str) -> String {
        format!("domains/{family}/index.mdx")
    }

    pub fn channel(id: &str) -> String {
        format!("channels/{id}/index.mdx")
    }

    pub fn topic_id(name: &str) -> String {
        format!("topic.{name}")
    }

    pub fn queue_id(name: &str) -> String {
        format!("queue.{name}")
    }
}

/// `record_profile` of `user-service`, as problems and pages name a handler.
pub fn handler_name(reader: &Reader) -> String {
    format!("{}/{}", reader.consumer, reader.handler)
}
