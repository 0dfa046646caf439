//! Which handler gets which event: one per (consumer, event type).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use messaging::{QueueSettings, Subscriber, TEMPORARY_CONSUMER};
use schemas::{EventType, Newest};
use sqlx::PgConnection;

mod erased;

pub(crate) use erased::{AnyEvent, AnyHandler, Shape};
use erased::{Applying, ApplyingEach, Performing};

use crate::{
    handler::{ApplyEach, ApplyEvents, Call, Each, HandlerError, Middleware, Next, PerformEffect, Verdict},
    message::decode::Delivery,
};

/// A consumer: its name, which is its queue's, and its handlers. The topology follows from it.
#[derive(Clone)]
pub struct Consumer {
    name: &'static str,
    handlers: BTreeMap<&'static str, Arc<dyn AnyHandler>>,
    around: Vec<Arc<dyn Middleware>>,
    settings: QueueSettings,
}

pub struct ConsumerBuilder(Consumer);

impl Consumer {
    /// Panics where the name is one of those that are there for a while only, whose queues are pruned with what they hold.
    pub fn named(name: &'static str) -> ConsumerBuilder {
        assert!(!name.starts_with(TEMPORARY_CONSUMER), "a consumer called `{name}` would be taken for a temporary one");
        ConsumerBuilder(Self { name, handlers: BTreeMap::new(), around: Vec::new(), settings: QueueSettings::DEFAULT })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn events(&self) -> BTreeSet<EventType> {
        self.readings().map(|reading| reading.event_type).collect()
    }

    /// What this consumer needs on the bus.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber { consumer: self.name.to_owned(), events: self.events(), settings: self.settings }
    }

    /// What each of its handlers reads.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        self.handlers.values().map(|handler| handler.reading())
    }

    /// Whether its handler of this event has an effect outside of its database, such as a mail.
    pub fn performs(&self, event_type: &EventType) -> bool {
        let shape = self.handlers.get(event_type.as_str()).map(|handler| handler.shape());
        matches!(shape, Some(Shape::Perform { .. }))
    }

    pub(crate) fn handler(&self, event_type: &str) -> Option<&Arc<dyn AnyHandler>> {
        self.handlers.get(event_type)
    }

    pub(crate) fn handlers(&self) -> impl Iterator<Item = &Arc<dyn AnyHandler>> {
        self.handlers.values()
    }

    /// Calls a handler, with everything that goes around it.
    pub(crate) async fn call(
        &self,
        handler: &dyn AnyHandler,
        connection: Option<&mut PgConnection>,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Verdict>, HandlerError> {
        if self.around.is_empty() {
            return handler.call(connection, deliveries).await;
        }
        let events = deliveries.iter().map(|delivery| &delivery.envelope).collect();
        let call = Call { handler: handler.name(), events, connection };
        let verdicts = Next { handler, around: &self.around, deliveries }.run(call).await?;
        one_each(handler.name(), verdicts, deliveries.len())
    }
}

/// A handler that answers for more or fewer events than it got has a mistake in it, and nothing of what it says counts.
fn one_each(handler: &str, verdicts: Vec<Verdict>, events: usize) -> Result<Vec<Verdict>, HandlerError> {
    if verdicts.len() == events {
        return Ok(verdicts);
    }
    let got = verdicts.len();
    Err(HandlerError::unclassified(format!("{handler} answered {got} verdicts for {events} events")))
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
    /// event would need two claims. So do the two below.
    #[must_use]
    pub fn apply<H: ApplyEvents>(self, handler: H) -> Self {
        self.with(Arc::new(Applying(handler)))
    }

    /// An effect instead of a change: performed at least once, with no transaction held across it.
    #[must_use]
    pub fn perform<H: PerformEffect>(self, handler: H) -> Self {
        self.with(Arc::new(Performing(handler)))
    }

    /// A function that applies one event after the other. `name` says what it does, `reads` the fields of the payload that
    /// it reads, as JSON pointers.
    #[must_use]
    pub fn apply_each<E, F>(self, name: &'static str, reads: &'static [&'static str], function: F) -> Self
    where
        E: Newest,
        F: for<'a> ApplyEach<'a, E> + 'static,
    {
        self.with(Arc::new(ApplyingEach::<E, F>::new(Each { name, reads, function })))
    }

    /// Goes around every handler of this consumer, inside of what was added before it.
    #[must_use]
    pub fn around(mut self, middleware: impl Middleware) -> Self {
        self.0.around.push(Arc::new(middleware));
        self
    }

    /// Its queue's settings, where the usual ones don't suit.
    #[must_use]
    pub fn queue(mut self, settings: QueueSettings) -> Self {
        self.0.settings = settings;
        self
    }

    pub fn build(self) -> Consumer {
        self.0
    }

    fn with(mut self, handler: Arc<dyn AnyHandler>) -> Self {
        let event_type = handler.reading().event_type.as_str();
        let before = self.0.handlers.insert(event_type, handler);
        assert!(before.is_none(), "`{event_type}` has two handlers in consumer `{}`", self.0.name);
        self
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).field("events", &self.events()).finish_non_exhaustive()
    }
}
