//! Which topics and queues there are, derived from what consumers listen to.
//!
//! A topic is named after its event type, a queue after its consumer, and each queue has a dead-letter queue beside it.
//! Nothing else names a topic or a queue, so producers, consumers and tools can't disagree.

use std::{collections::BTreeSet, time::Duration};

use schemas::EventType;

use crate::{BusError, prune::TEMPORARY_CONSUMER, publisher::topic_of};

/// How topics and queues of one installation are called: a prefix keeps installations in one account apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// By which topics and queues are marked as this installation's. With a character that no prefix has, so that to
    /// have none is a mark as well.
    pub fn installation(&self) -> String {
        format!("/{}", self.prefix)
    }

    pub fn topic(&self, event_type: &str) -> String {
        format!("{}{}", self.prefix, topic_of(event_type))
    }

    pub fn queue(&self, consumer: &str) -> String {
        format!("{}{consumer}", self.prefix)
    }

    pub fn dead_letter_queue(&self, consumer: &str) -> String {
        format!("{}{consumer}-dlq", self.prefix)
    }

    /// The queues that a queue sends to, or that SNS does in its place.
    pub(crate) fn attendants(queue: &str) -> [String; 2] {
        [format!("{queue}-dlq"), format!("{queue}-undelivered")]
    }

    /// Whether a queue is that of a consumer which is there for a while only.
    pub(crate) fn is_temporary(&self, queue: &str) -> bool {
        queue.strip_prefix(&self.prefix).is_some_and(|consumer| consumer.starts_with(TEMPORARY_CONSUMER))
    }

    /// Where SNS puts what it could not deliver to the consumer's queue. There is none in PostgreSQL, where publishing
    /// and delivering are one transaction.
    pub fn undelivered_queue(&self, consumer: &str) -> String {
        format!("{}{consumer}-undelivered", self.prefix)
    }
}

/// A consumer and the events it has handlers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    pub consumer: String,
    pub events: BTreeSet<EventType>,
    pub settings: QueueSettings,
}

/// A queue's settings, the same for every consumer unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// The queue's default; workers name their own lease with every receive.
    pub visibility: Duration,
    /// On SQS; the bus in PostgreSQL keeps messages until they are settled.
    pub retention: Duration,
    /// Counted by SQS from the original enqueue time, so it must be well above `retention`.
    pub dead_letter_retention: Duration,
    /// The net for messages that kill their worker. Failures that a worker can report are counted by the worker.
    pub max_receive_count: u32,
}

const DAY: u64 = 24 * 60 * 60;

impl QueueSettings {
    pub const DEFAULT: Self = Self {
        visibility: Duration::from_secs(60),
        retention: Duration::from_secs(4 * DAY),
        dead_letter_retention: Duration::from_secs(14 * DAY),
        max_receive_count: 20,
    };
}

/// Everything that has to exist on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    pub subscribers: Vec<Subscriber>,
    /// Topics that are published to, whether or not anybody listens.
    pub published: BTreeSet<EventType>,
}

impl Topology {
    pub fn topics(&self) -> BTreeSet<EventType> {
        let heard = self.subscribers.iter().flat_map(|subscriber| subscriber.events.iter().copied());
        self.published.iter().copied().chain(heard).collect()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("could not {what}")]
pub struct TopologyError {
    pub(crate) what: String,
    pub(crate) source: BusError,
}
