//! The handlers of all events about products, and the one statement that tells them to the database.
//!
//! Each event carries the product's whole state, so a row is one register: the newest version stays, among the events of a
//! batch and against what the row says. No event is newer than the one that discontinues a product, so that one stays too.

use std::{
    collections::{BTreeMap, HashSet},
    marker::PhantomData,
};

use async_trait::async_trait;
use schemas::{
    Newest, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductUpdatedV1, ProductV1, Sequence,
};
use sqlx::PgConnection;
use uuid::Uuid;
use worker::{ApplyEvents, HandlerError, Received, Verdict};

use crate::record::UNVERSIONED;

/// An event that carries a product's whole state.
pub(crate) trait CarriesProduct: Newest {
    const HANDLER: &'static str;

    fn product(&self) -> &ProductV1;
}

/// Records the product that an event carries.
pub(crate) struct RecordProduct<E>(PhantomData<fn(E)>);

impl<E> RecordProduct<E> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

#[async_trait]
impl<E: CarriesProduct> ApplyEvents for RecordProduct<E> {
    type Event = E;

    const NAME: &'static str = E::HANDLER;
    const READS: &'static [&'static str] = &["/name", "/price", "/productId", "/sku", "/status"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, E>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let states = events.iter().filter_map(|Received { event, sequence, .. }| Some((event.product(), (*sequence)?)));
        let updated = record(connection, states).await?;
        let verdict = |received: &Received<'_, E>| match received.sequence {
            None => Verdict::Reject(UNVERSIONED.into()),
            Some(_) if updated.contains(&received.event.product().product_id) => Verdict::Applied,
            Some(_) => Verdict::Stale,
        };
        Ok(events.iter().map(verdict).collect())
    }
}

/// Answers whose rows changed.
async fn record<'a>(
    connection: &mut PgConnection,
    states: impl Iterator<Item = (&'a ProductV1, Sequence)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let mut newest: BTreeMap<Uuid, (&ProductV1, Sequence)> = BTreeMap::new();
    for (product, sequence) in states {
        let kept = newest.entry(product.product_id).or_insert((product, sequence));
        if sequence > kept.1 {
            *kept = (product, sequence);
        }
    }
    if newest.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<_> = newest.keys().copied().collect();
    let products = || newest.values().map(|(product, _)| *product);
    let skus: Vec<_> = products().map(|product| product.sku.as_str()).collect();
    let names: Vec<_> = products().map(|product| product.name.as_str()).collect();
    let prices: Vec<_> = products().map(|product| product.price.amount_minor.get()).collect();
    let currencies: Vec<_> = products().map(|product| product.price.currency.as_str()).collect();
    let statuses: Vec<_> = products().map(|product| product.status.as_str()).collect();
    let sequences: Vec<_> = newest.values().map(|(_, sequence)| sequence.get()).collect();

    // Rows are locked in the order of their ids.
    let ids = sqlx::query_scalar!(
        r#"WITH changed AS (
             INSERT INTO products AS product (product_id, sku, name, price_minor, currency, status, sequence)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::text[], $7::int8[])
                    AS told (product_id, sku, name, price_minor, currency, status, sequence)
              ORDER BY product_id
                 ON CONFLICT (product_id) DO UPDATE
                SET sku = excluded.sku, name = excluded.name, price_minor = excluded.price_minor,
                    currency = excluded.currency, status = excluded.status, sequence = excluded.sequence,
                    updated_at = now()
              WHERE excluded.sequence > product.sequence
          RETURNING product_id
         )
         SELECT coalesce(array_agg(product_id), '{}') AS "ids!" FROM changed"#,
        &ids,
        &skus as &[&str],
        &names as &[&str],
        &prices,
        &currencies as &[&str],
        &statuses as &[&str],
        &sequences,
    )
    .fetch_one(connection)
    .await?;
    Ok(ids.into_iter().collect())
}

impl CarriesProduct for ProductCreatedV1 {
    const HANDLER: &'static str = "record_product";

    fn product(&self) -> &ProductV1 {
        &self.0
    }
}

impl CarriesProduct for ProductUpdatedV1 {
    const HANDLER: &'static str = "record_updated_product";

    fn product(&self) -> &ProductV1 {
        &self.0
    }
}

impl CarriesProduct for ProductPriceChangedV1 {
    const HANDLER: &'static str = "record_changed_price";

    fn product(&self) -> &ProductV1 {
        &self.0
    }
}

impl CarriesProduct for ProductDiscontinuedV1 {
    const HANDLER: &'static str = "record_discontinued_product";

    fn product(&self) -> &ProductV1 {
        &self.0
    }
}
