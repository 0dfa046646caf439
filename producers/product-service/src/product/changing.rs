use schemas::{
    Envelope, Price, ProductDescription, ProductName, ProductPriceChangedV1, ProductStatus, ProductUpdatedV1,
};
use service::http::{IfMatch, TraceContext};
use uuid::Uuid;

use super::Product;
use crate::{Failure, Store, change::Change};

/// What is to be another. What is not said stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    pub name: Option<ProductName>,
    /// `Some(None)` takes it away.
    pub description: Option<Option<ProductDescription>>,
    pub price: Option<Price>,
    pub status: Option<ProductStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Done(Product),
    /// It was like that already; nothing was written, nothing emitted.
    AlreadySo(Product),
    NoSuchProduct,
    /// It is not what the client saw.
    Outdated,
    /// It does not change any more.
    Discontinued,
}

impl Edit {
    /// The product with this done.
    pub(crate) fn of(self, product: &Product) -> Product {
        let mut edited = product.clone();
        let Self { name, description, price, status } = self;
        edited.name = name.unwrap_or(edited.name);
        edited.description = description.unwrap_or(edited.description);
        edited.price = price.unwrap_or(edited.price);
        edited.status = status.unwrap_or(edited.status);
        edited
    }
}

/// Changes what is said of a product, what it costs and whether it can be had; each price is told by an event of its own.
pub async fn change(
    store: &Store,
    product: Uuid,
    seen: &IfMatch,
    edit: Edit,
    trace: &TraceContext,
) -> Result<Changed, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, trace).await?;
    let Some(before) = Product::lock(change.connection(), product).await? else {
        return Ok(Changed::NoSuchProduct);
    };
    if !seen.holds_for(before.tag()) {
        return Ok(Changed::Outdated);
    }
    let mut product = edit.of(&before);
    if product == before {
        return Ok(Changed::AlreadySo(product));
    }
    if before.status == ProductStatus::Discontinued {
        return Ok(Changed::Discontinued);
    }
    let told = tell_of(&change, &before, &mut product)?;
    change.tell(&told).await?;
    product.store(&mut change).await?;
    change.commit().await?;
    Ok(Changed::Done(product))
}

/// What tells of a product that was changed: one event for what is said of it, one for what it costs. It has the version of the last.
pub(crate) fn tell_of(change: &Change<'_>, before: &Product, product: &mut Product) -> Result<Vec<Envelope>, Failure> {
    let mut told = Vec::new();
    let says_something_else =
        (&product.name, &product.description, product.status) != (&before.name, &before.description, before.status);
    if says_something_else {
        told.push(change.next_envelope(product, ProductUpdatedV1)?);
    }
    if product.price != before.price {
        told.push(change.next_envelope(product, ProductPriceChangedV1)?);
    }
    Ok(told)
}
