//! One change of `product_db`: the product's row and the events about it together, or none of them.

use outbox::Wake;
use schemas::{Clock, Envelope, Event, Header, ProductV1, Sequence, event_id};
use service::{
    http::TraceContext,
    postgres::{Pool, PooledConnection, Transaction},
};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Failure, NAME, Product};

/// What every use case works on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    clock: Clock,
    relay: Wake,
}

/// A transaction, and the request that caused it. Dropped without [`commit`](Self::commit), nothing happened.
pub(crate) struct Change<'a> {
    transaction: Transaction<'a>,
    trace: &'a TraceContext,
    now: OffsetDateTime,
    store: &'a Store,
}

impl Store {
    /// `relay` is woken after each commit.
    pub fn new(pool: PgPool, relay: Wake, clock: Clock) -> Self {
        Self { pool: Pool::new(pool), clock, relay }
    }

    /// In whole microseconds, as PostgreSQL keeps it: the row and the event say the same time.
    pub fn now(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now - time::Duration::nanoseconds((now.nanosecond() % 1_000).into())
    }

    pub(crate) async fn begin<'a>(
        &'a self,
        connection: &'a mut PooledConnection,
        trace: &'a TraceContext,
    ) -> Result<Change<'a>, Failure> {
        Ok(Change { transaction: connection.begin().await?, trace, now: self.now(), store: self })
    }
}

impl Change<'_> {
    /// The one moment that everything in this change happens at.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub fn new_id(&self) -> Uuid {
        event_id(self.now)
    }

    /// An event about the product, with the product as it is now, as the version that its row has.
    pub fn envelope<E: Event>(&self, product: &Product, event: fn(ProductV1) -> E) -> Result<Envelope, Failure> {
        let event = event(product.state_at(self.now));
        let traceparent = Some(self.trace.traceparent().to_owned());
        let header =
            Header { id: self.new_id(), source: NAME, time: self.now, sequence: product.sequence, traceparent };
        Ok(Envelope::new(&event, header)?)
    }

    /// As [`envelope`](Self::envelope), as the product's next version.
    pub fn next_envelope<E: Event>(
        &self,
        product: &mut Product,
        event: fn(ProductV1) -> E,
    ) -> Result<Envelope, Failure> {
        product.sequence = Sequence::after(Some(product.sequence), self.now);
        self.envelope(product, event)
    }

    /// Writes events to the outbox.
    pub async fn tell(&mut self, envelopes: &[Envelope]) -> Result<(), Failure> {
        Ok(outbox::append_all(&mut self.transaction, envelopes).await?)
    }

    pub async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await?;
        self.store.relay.wake();
        Ok(())
    }
}
