//! A handler without its event type, so that one map holds them all.

use std::{any::Any, error::Error, marker::PhantomData, time::Duration};

use async_trait::async_trait;
use schemas::{Envelope, Event, Newest, PayloadError};
use sqlx::PgConnection;

use super::{Reading, one_each};
use crate::{
    handler::{ApplyEach, ApplyEvents, Each, Effect, HandlerError, PerformEffect, Received, Verdict},
    measure,
    message::decode::Delivery,
};

/// A payload whose type only its handler knows.
pub(crate) type AnyEvent = Box<dyn Any + Send + Sync>;

/// How a handler is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// With a batch, in the transaction that holds the claims.
    Apply,
    /// With one event, outside any transaction.
    Perform { at_a_time: usize },
}

#[async_trait]
pub(crate) trait AnyHandler: Send + Sync {
    fn shape(&self) -> Shape;

    fn reading(&self) -> Reading;

    fn timeout(&self) -> Option<Duration>;

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>>;

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError>;

    /// `events` come from [`Self::read`] of this very handler; there is a connection where its shape is
    /// [`Shape::Apply`]. Answers as many verdicts.
    async fn call(
        &self,
        connection: Option<&mut PgConnection>,
        events: &[&Delivery],
    ) -> Result<Vec<Verdict>, HandlerError>;

    fn name(&self) -> &'static str {
        self.reading().handler
    }
}

const OWN_EVENT: &str = "a handler gets what it has read itself";
const IN_TRANSACTION: &str = "an applying handler is called in a transaction";

fn read<E: Newest>(envelope: &Envelope) -> Result<AnyEvent, PayloadError> {
    let event = E::read(envelope.schemaversion, &envelope.data)?;
    if E::needs_upcast(envelope.schemaversion) {
        measure::upcast(envelope);
    }
    Ok(Box::new(event))
}

fn received<E: 'static>(delivery: &Delivery) -> Received<'_, E> {
    Received {
        event: delivery.event.downcast_ref::<E>().expect(OWN_EVENT),
        key: delivery.key,
        source: &delivery.envelope.source,
        time: delivery.event_time(),
        sequence: delivery.envelope.sequence,
    }
}

pub(super) struct Applying<H>(pub H);

#[async_trait]
impl<H: ApplyEvents> AnyHandler for Applying<H> {
    fn shape(&self) -> Shape {
        Shape::Apply
    }

    fn reading(&self) -> Reading {
        Reading { handler: H::NAME, event_type: H::Event::TYPE, version: H::Event::VERSION, fields: H::READS }
    }

    fn timeout(&self) -> Option<Duration> {
        self.0.timeout()
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.probe().await
    }

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError> {
        read::<H::Event>(envelope)
    }

    async fn call(
        &self,
        connection: Option<&mut PgConnection>,
        events: &[&Delivery],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let received: Vec<_> = events.iter().map(|delivery| received(delivery)).collect();
        let verdicts = self.0.apply(connection.expect(IN_TRANSACTION), &received).await?;
        one_each(H::NAME, verdicts, events.len())
    }
}

pub(super) struct ApplyingEach<E, F> {
    each: Each<F>,
    // Of a function pointer, so that it is `Send` and `Sync` whatever the event is.
    event: PhantomData<fn(E)>,
}

impl<E, F> ApplyingEach<E, F> {
    pub fn new(each: Each<F>) -> Self {
        Self { each, event: PhantomData }
    }
}

#[async_trait]
impl<E, F> AnyHandler for ApplyingEach<E, F>
where
    E: Newest,
    F: for<'a> ApplyEach<'a, E> + 'static,
{
    fn shape(&self) -> Shape {
        Shape::Apply
    }

    fn reading(&self) -> Reading {
        Reading { handler: self.each.name, event_type: E::TYPE, version: E::VERSION, fields: self.each.reads }
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError> {
        read::<E>(envelope)
    }

    async fn call(
        &self,
        connection: Option<&mut PgConnection>,
        events: &[&Delivery],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let received: Vec<Received<'_, E>> = events.iter().map(|delivery| received(delivery)).collect();
        self.each.apply(connection.expect(IN_TRANSACTION), &received).await
    }
}

pub(super) struct Performing<H>(pub H);

#[async_trait]
impl<H: PerformEffect> AnyHandler for Performing<H> {
    fn shape(&self) -> Shape {
        Shape::Perform { at_a_time: H::AT_A_TIME.max(1) }
    }

    fn reading(&self) -> Reading {
        Reading { handler: H::NAME, event_type: H::Event::TYPE, version: H::Event::VERSION, fields: H::READS }
    }

    fn timeout(&self) -> Option<Duration> {
        self.0.timeout()
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.probe().await
    }

    fn read(&self, envelope: &Envelope) -> Result<AnyEvent, PayloadError> {
        read::<H::Event>(envelope)
    }

    async fn call(&self, _: Option<&mut PgConnection>, events: &[&Delivery]) -> Result<Vec<Verdict>, HandlerError> {
        let mut verdicts = Vec::with_capacity(events.len());
        for delivery in events {
            verdicts.push(match self.0.perform(&received(delivery)).await? {
                Effect::Performed => Verdict::Applied,
                Effect::NotNeeded => Verdict::Stale,
            });
        }
        Ok(verdicts)
    }
}
