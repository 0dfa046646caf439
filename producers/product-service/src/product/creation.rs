use schemas::{Price, ProductCreatedV1, ProductDescription, ProductName, ProductStatus, Sequence, Sku};
use service::http::TraceContext;

use super::Product;
use crate::{Failure, Store};

/// What a product begins as.
#[derive(Debug, Clone)]
pub struct NewProduct {
    pub sku: Sku,
    pub name: ProductName,
    pub description: Option<ProductDescription>,
    pub price: Price,
    pub status: ProductStatus,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    Done(Product),
    /// Some product has the SKU, sold or not; nothing was written.
    SkuTaken,
}

/// Adds a product to the catalogue. A SKU is added once, however often and by how many at once that is tried.
pub async fn create(store: &Store, new: NewProduct, trace: &TraceContext) -> Result<Created, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, trace).await?;
    let now = change.now();
    let NewProduct { sku, name, description, price, status } = new;
    let product = Product {
        product_id: change.new_id(),
        sku,
        name,
        description,
        price,
        status,
        created_at: now,
        updated_at: now,
        sequence: Sequence::after(None, now),
    };
    let inserted = sqlx::query!(
        "INSERT INTO products
                (id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         ON CONFLICT (sku) DO NOTHING",
        product.product_id,
        product.sku.as_str(),
        product.name.as_str(),
        product.description.as_ref().map(ProductDescription::as_str),
        product.price.amount_minor.get(),
        product.price.currency.as_str(),
        product.status.as_str(),
        product.sequence.get(),
        now,
    )
    .execute(change.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Created::SkuTaken);
    }
    let created = change.envelope(&product, ProductCreatedV1)?;
    change.tell(&[created]).await?;
    change.commit().await?;
    Ok(Created::Done(product))
}
