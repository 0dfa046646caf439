//! The producer: an order and its event are committed together, or neither is.

use outbox::Wake;
use schemas::{Clock, DisplayName, Email, Envelope, Event, EventType, Header, Sequence, Sku, event_id};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::OrderPlacedV2;

/// The name of this service: the `source` of its events.
pub const SHOP: &str = "shop";

/// The events that it sends.
pub const SENDS: &[EventType] = &[OrderPlacedV2::TYPE];

/// What a customer asks for.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: Uuid,
    pub article: Sku,
    pub delivery_name: DisplayName,
    pub express: bool,
    pub announce_to: Option<Email>,
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("the order could not be written")]
    Database(#[from] sqlx::Error),
    #[error("the event could not be built")]
    Event(#[from] serde_json::Error),
    #[error("the event could not be appended to the outbox")]
    Append(#[from] outbox::AppendError),
}

/// Takes orders.
#[derive(Debug, Clone)]
pub struct Orders {
    pool: PgPool,
    relay: Wake,
    clock: Clock,
}

impl Orders {
    /// `relay` is woken after each commit.
    pub fn new(pool: PgPool, relay: Wake, clock: Clock) -> Self {
        Self { pool, relay, clock }
    }

    /// Places an order, or places it again with changes.
    pub async fn place(&self, order: Order) -> Result<(), OrderError> {
        let now = whole_microseconds(self.clock.now());
        let mut transaction = self.pool.begin().await?;
        let sequence = sqlx::query_scalar!(
            "INSERT INTO orders (id, article, delivery_name, express, announce_to, placed_at, sequence)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (id) DO UPDATE
                SET article = excluded.article, delivery_name = excluded.delivery_name,
                    express = excluded.express, announce_to = excluded.announce_to,
                    placed_at = excluded.placed_at,
                    sequence = greatest(orders.sequence + 1, excluded.sequence)
          RETURNING sequence",
            order.id,
            order.article.as_str(),
            order.delivery_name.as_str(),
            order.express,
            order.announce_to.as_ref().map(Email::as_str),
            now,
            Sequence::after(None, now).get(),
        )
        .fetch_one(&mut *transaction)
        .await?;

        let event = OrderPlacedV2 {
            order_id: order.id,
            article: order.article,
            delivery_name: order.delivery_name,
            placed_at: now,
            express: order.express,
            announce_to: order.announce_to,
        };
        let header = Header {
            id: event_id(now),
            source: SHOP,
            time: now,
            sequence: Sequence::from_stored(sequence),
            traceparent: None,
        };
        outbox::append(&mut transaction, &Envelope::new(&event, header)?).await?;
        transaction.commit().await?;
        self.relay.wake();
        Ok(())
    }
}

/// What PostgreSQL can hold, so that the row and the event say the same time.
fn whole_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    time - time::Duration::nanoseconds((time.nanosecond() % 1_000).into())
}
