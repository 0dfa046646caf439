//! What is so of every product now, as events: for a consumer that is new or was emptied.
//!
//! Each carries a product's whole state and its version, as every event of it does: so whoever has heard of a newer one passes
//! it over.

use schemas::{BackfillRun, Envelope, Event, EventType, ProductCreatedV1, ProductDiscontinuedV1, ProductStatus};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Product, Row};
use crate::{Failure, NAME};

/// The events that it takes.
pub const TELLS: &[EventType] = &[ProductCreatedV1::TYPE, ProductDiscontinuedV1::TYPE];

/// The products after `after`, in the order of their ids, at most `limit`, each with the event that tells of it.
pub async fn page(
    executor: impl PgExecutor<'_>,
    run: BackfillRun,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Vec<(Uuid, Vec<Envelope>)>, Failure> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
           FROM products WHERE id > $1 ORDER BY id LIMIT $2",
        after.unwrap_or_default(),
        i64::from(limit),
    );
    let told = |row: Row| {
        let product = Product::try_from(row)?;
        let (state, sequence) = (product.state_at(product.updated_at), product.sequence);
        let event = match product.status {
            ProductStatus::Discontinued => run.envelope(NAME, sequence, &ProductDiscontinuedV1(state))?,
            ProductStatus::Available | ProductStatus::Unavailable => {
                run.envelope(NAME, sequence, &ProductCreatedV1(state))?
            }
        };
        Ok((product.product_id, vec![event]))
    };
    rows.fetch_all(executor).await?.into_iter().map(told).collect()
}

/// How many products there are after `after`.
pub async fn count_after(executor: impl PgExecutor<'_>, after: Option<Uuid>) -> Result<i64, Failure> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM products WHERE id > $1"#, after.unwrap_or_default());
    Ok(count.fetch_one(executor).await?)
}
