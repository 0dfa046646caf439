//! Which handler gets which event: one per (consumer, event type).

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use messaging::{QueueSettings, Subscriber, TEMPORARY_CONSUMER};
use metrics::counter;
use schemas::{Envelope, Event, EventType, Newest, PayloadError};
use sqlx::PgConnection;

use crate::{
    decode::Delivery,
    handler::{ApplyEvents, HandlerError, Received, Verdict},
};

/// A consumer: its name, which is its queue's, and its handlers. The topology follows from it.
#[derive(Clone)]
pub struct Consumer {
    name: &'static str,
    handlers: BTreeMap<&'static str, Arc<dyn AnyHandler>>,
}

pub struct ConsumerBuilder(Consumer);

impl Consumer {
    /// Panics where the name is one of those that are there for a while only, whose queues are pruned with what they hold.
    pub fn named(name: &'static str) -> ConsumerBuilder {
        assert!(!name.starts_with(TEMPORARY_CONSUMER), "a consumer called `{name}` would be taken for a temporary one");
        ConsumerBuilder(Self { name, handlers: BTreeMap::new() })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn events(&self) -> BTreeSet<EventType> {
        self.handlers.values().map(|handler| handler.event_type()).collect()
    }

    /// What this consumer needs on the bus.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber { consumer: self.name.to_owned(), events: self.events(), settings: QueueSettings::DEFAULT }
    }

    /// What each of its handlers reads.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        self.handlers.values().map(|handler| handler.reading())
    }

    pub(crate) fn handler(&self, event_type: &str) -> Option<&Arc<dyn AnyHandler>> {
        self.handlers.get(event_type)
    }

    pub(crate) fn handlers(&self) -> impl Iterator<Item = &Arc<dyn AnyHandler>> {
        self.handlers.values()
    }
}

/// A handler's part in a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub handler: &'static str,
    pub event_type: EventType,
    /// The version it sees; older ones are raised to it.
    pub version: u32,
    /// JSON pointers into the payload.
    pub fields: &'static [&'static str],
}

impl ConsumerBuilder {
    /// Panics where the event type has a handler already: that is a mistake in the program, and two handlers for one
    /// event would need two claims.
    #[must_use]
    pub fn apply<H: ApplyEvents>(mut self, handler: H) -> Self {
        let event_type = H::Event::TYPE.as_str();
        let before = self.0.handlers.insert(event_type, Arc::new(Typed(handler)));
        assert!(before.is_none(), "`{event_type}` has two handlers in consumer `{}`", self.0.name);
        self
    }

    pub fn build(self) -> Consumer {
        self.0
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).field("events", &self.events()).finish_non_exhaustive()
    }
}

/// A payload whose type only its handler knows.
pub(crate) type AnyEvent = Box<dyn Any + Send + Sync>;

/// A handler without its event type, so that one map holds them all.
#[async_trait]
pub(crate) trait AnyHandler: Send + Sync {
    fn name(&self) -> &'static str;

    fn event_type(&self) -> EventType;

    fn reading(&self) -> Reading;

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError>;

    /// `events` come from [`Self::read`] of this very handler.
    async fn apply(&self, connection: &mut PgConnection, events: &[&Delivery]) -> Result<Vec<Verdict>, HandlerError>;
}

struct Typed<H>(H);

#[async_trait]
impl<H: ApplyEvents> AnyHandler for Typed<H> {
    fn name(&self) -> &'static str {
        H::NAME
    }

    fn event_type(&self) -> EventType {
        H::Event::TYPE
    }

    fn reading(&self) -> Reading {
        Reading { handler: H::NAME, event_type: H::Event::TYPE, version: H::Event::VERSION, fields: H::READS }
    }

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError> {
        let event = H::Event::read(envelope.schemaversion, &envelope.data)?;
        if H::Event::needs_upcast(envelope.schemaversion) {
            // Where this stands still for as long as a queue keeps messages, the old version is dead and can be removed.
            let (event_type, version) = (envelope.event_type.clone(), envelope.schemaversion.to_string());
            counter!("worker_upcast_total", "event_type" => event_type, "version" => version).increment(1);
        }
        Ok(Box::new(event))
    }

    async fn apply(&self, connection: &mut PgConnection, events: &[&Delivery]) -> Result<Vec<Verdict>, HandlerError> {
        let received: Vec<_> = events
            .iter()
            .map(|delivery| Received {
                event: delivery.event.downcast_ref::<H::Event>().expect("a handler gets what it has read itself"),
                key: delivery.key,
                source: &delivery.envelope.source,
                time: delivery.event_time(),
                sequence: delivery.envelope.sequence,
            })
            .collect();
        let verdicts = self.0.apply(connection, &received).await?;
        if verdicts.len() != events.len() {
            let (got, want) = (verdicts.len(), events.len());
            return Err(HandlerError::unclassified(format!("{} answered {got} verdicts for {want} events", H::NAME)));
        }
        Ok(verdicts)
    }
}
