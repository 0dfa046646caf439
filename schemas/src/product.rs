//! Events about products. Each carries the product's whole state; which one it is says why.

mod created;
mod discontinued;
mod price_changed;
mod state;
mod updated;

pub use created::ProductCreatedV1;
pub use discontinued::ProductDiscontinuedV1;
pub use price_changed::ProductPriceChangedV1;
pub use state::{ProductStatus, ProductV1};
pub use updated::ProductUpdatedV1;
