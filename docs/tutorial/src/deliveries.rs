//! The consumer: `order.placed` → a row in `deliveries`.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::PgConnection;
use worker::{ApplyEvents, Consumer, HandlerError, Received, Verdict};

use crate::OrderPlacedV2;

/// The events that the warehouse listens to, and what it does with each.
pub fn consumer() -> Consumer {
    Consumer::named("warehouse").apply(ScheduleDelivery).build()
}

/// Notes what has to be delivered, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleDelivery;

#[async_trait]
impl ApplyEvents for ScheduleDelivery {
    type Event = OrderPlacedV2;

    const NAME: &'static str = "schedule_delivery";
    const READS: &'static [&'static str] = &["/orderId", "/article", "/deliveryName", "/express"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, OrderPlacedV2>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let versioned: Vec<_> =
            events.iter().filter_map(|received| Some((received.sequence?.get(), received.event))).collect();
        let sequences: Vec<_> = versioned.iter().map(|(sequence, _)| *sequence).collect();
        let orders: Vec<_> = versioned.iter().map(|(_, event)| event.order_id).collect();
        let articles: Vec<_> = versioned.iter().map(|(_, event)| event.article.as_str().to_owned()).collect();
        let names: Vec<_> = versioned.iter().map(|(_, event)| event.delivery_name.as_str().to_owned()).collect();
        let express: Vec<_> = versioned.iter().map(|(_, event)| event.express).collect();

        // One row for each order, from its newest event; rows are locked in the order of their ids.
        let written: HashSet<_> = sqlx::query!(
            "INSERT INTO deliveries AS delivery (order_id, article, name, express, sequence)
             SELECT DISTINCT ON (order_id) order_id, article, name, express, sequence
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[], $5::int8[])
                    AS event (order_id, article, name, express, sequence)
              ORDER BY order_id, sequence DESC
                 ON CONFLICT (order_id) DO UPDATE
                SET article = excluded.article, name = excluded.name, express = excluded.express,
                    sequence = excluded.sequence
              WHERE excluded.sequence > delivery.sequence
          RETURNING order_id, sequence",
            &orders,
            &articles,
            &names,
            &express,
            &sequences,
        )
        .fetch_all(connection)
        .await?
        .into_iter()
        .map(|row| (row.order_id, row.sequence))
        .collect();

        let verdict = |received: &Received<'_, OrderPlacedV2>| match received.sequence {
            None => Verdict::Reject("the event has no `sequence`, so its age can't be told".into()),
            Some(sequence) if written.contains(&(received.event.order_id, sequence.get())) => Verdict::Applied,
            Some(_) => Verdict::Stale,
        };
        Ok(events.iter().map(verdict).collect())
    }
}
