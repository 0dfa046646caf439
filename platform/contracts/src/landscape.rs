//! Which service sends which event, and who reads which of its fields.

use std::collections::BTreeSet;

use messaging::{Subscriber, Topology};
use schemas::EventType;

/// Every producer and every consumer, as their code registers them.
#[derive(Debug, Clone, Default)]
pub struct Landscape {
    pub senders: Vec<Sender>,
    pub readers: Vec<Reader>,
    /// What each consumer needs on the bus.
    pub subscribers: Vec<Subscriber>,
}

/// A service that publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub service: &'static str,
    pub events: BTreeSet<EventType>,
}

/// A handler of a consumer, for one type of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    pub consumer: String,
    pub handler: String,
    pub event_type: EventType,
    /// The version that it sees; older ones are raised to it.
    pub version: u32,
    /// JSON pointers into the payload.
    pub fields: Vec<String>,
}

impl Landscape {
    pub fn topology(&self) -> Topology {
        let published = self.senders.iter().flat_map(|sender| sender.events.iter().copied()).collect();
        Topology { subscribers: self.subscribers.clone(), published }
    }

    /// Those that get an event, in the order of their names.
    pub fn readers_of(&self, event_type: &str) -> impl Iterator<Item = &Reader> {
        self.readers.iter().filter(move |reader| reader.event_type.as_str() == event_type)
    }

    /// Whether any code sends it, rather than only its schema being there.
    pub fn is_sent(&self, event_type: &str) -> bool {
        self.senders.iter().any(|sender| sender.events.iter().any(|event| event.as_str() == event_type))
    }
}
