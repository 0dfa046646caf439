use schemas::{ProductDiscontinuedV1, ProductStatus};
use service::http::{IfMatch, TraceContext};
use uuid::Uuid;

use super::Product;
use crate::{Failure, Store};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discontinued {
    Done,
    /// It was already; nothing was written, nothing emitted.
    AlreadySo,
    NoSuchProduct,
    /// It is not what the client saw.
    Outdated,
}

/// Takes a product out of sale for ever. It stays in the catalogue, for those who have it on a list.
pub async fn discontinue(
    store: &Store,
    product: Uuid,
    seen: &IfMatch,
    trace: &TraceContext,
) -> Result<Discontinued, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, trace).await?;
    let Some(mut product) = Product::lock(change.connection(), product).await? else {
        return Ok(Discontinued::NoSuchProduct);
    };
    // First, so that whoever did not hear that it is done may ask again with the version that they saw (RFC 9110, 13.1.1).
    if product.status == ProductStatus::Discontinued {
        return Ok(Discontinued::AlreadySo);
    }
    if !seen.holds_for(product.tag()) {
        return Ok(Discontinued::Outdated);
    }
    product.status = ProductStatus::Discontinued;
    let discontinued = change.next_envelope(&mut product, ProductDiscontinuedV1)?;
    change.tell(&[discontinued]).await?;
    product.store(&mut change).await?;
    change.commit().await?;
    Ok(Discontinued::Done)
}
