//! Products as they are read: one by its id, and those that a filter lets through.

use schemas::{Currency, MinorUnits, ProductStatus, Sku};
use service::postgres::Pool;
use uuid::Uuid;

use super::{Product, Row};
use crate::Failure;

/// Which products; all conditions hold at once.
#[derive(Debug, Clone, Default)]
pub struct ProductFilter {
    /// Words that SKU, name or description hold; `"a phrase"`, `-without` and `or` as a search engine takes them.
    pub search: Option<String>,
    pub sku: Option<Sku>,
    /// All but discontinued ones, where it is not said.
    pub status: Option<ProductStatus>,
    pub currency: Option<Currency>,
    /// At least so much.
    pub min_price: Option<MinorUnits>,
    /// At most so much.
    pub max_price: Option<MinorUnits>,
    /// Added before this one.
    pub before: Option<Uuid>,
}

pub async fn find(pool: &Pool, id: Uuid) -> Result<Option<Product>, Failure> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
           FROM products WHERE id = $1",
        id
    );
    row.fetch_optional(pool).await?.map(Product::try_from).transpose()
}

/// Newest first, at most `limit`.
pub async fn list(pool: &Pool, filter: &ProductFilter, limit: u16) -> Result<Vec<Product>, Failure> {
    let statuses: Vec<String> = match filter.status {
        Some(status) => vec![status.as_str().to_owned()],
        None => [ProductStatus::Available, ProductStatus::Unavailable].map(|status| status.as_str().to_owned()).into(),
    };
    let (sku, currency) = (filter.sku.as_ref().map(Sku::as_str), filter.currency.as_ref().map(Currency::as_str));
    let (min, max) = (filter.min_price.map(MinorUnits::get), filter.max_price.map(MinorUnits::get));
    // PostgreSQL plans it anew for the conditions that a request makes: a plan for any of them would cost more.
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
           FROM products
          WHERE status = ANY($1)
            AND ($2::text IS NULL OR sku = $2)
            AND ($3::text IS NULL OR currency = $3::text::char(3))
            AND ($4::bigint IS NULL OR price_minor >= $4)
            AND ($5::bigint IS NULL OR price_minor <= $5)
            AND ($6::text IS NULL OR search @@ websearch_to_tsquery('simple', $6))
            AND ($7::uuid IS NULL OR id < $7)
          ORDER BY id DESC
          LIMIT $8",
        &statuses,
        sku,
        currency,
        min,
        max,
        filter.search.as_deref(),
        filter.before,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Product::try_from).collect()
}
