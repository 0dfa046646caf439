//! What every event about a product carries: the product's whole state, so that a reader may take any of them for all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::value::{Id, Instant, Optional, Price, ProductDescription, ProductName, ServiceName, Sku};

/// A product as it is after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ProductV1 {
    /// The product's id.
    #[serde(with = "Id")]
    pub product_id: Uuid,
    /// When the product changed.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that keeps the product.
    pub source: ServiceName,
    /// The number that the shop keeps the product under.
    pub sku: Sku,
    /// What the product is called.
    pub name: ProductName,
    /// What the shop says of the product: plain text, in lines.
    #[serde(default, with = "Optional::<ProductDescription>", skip_serializing_if = "Option::is_none")]
    pub description: Option<ProductDescription>,
    /// What the product costs.
    pub price: Price,
    /// Whether the product can be had.
    pub status: ProductStatus,
}

/// Whether a product can be had. Closed: a reader that let an unknown status pass would sell what isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("x-classification" = "open"))]
pub enum ProductStatus {
    Available,
    Unavailable,
    Discontinued,
}

impl ProductStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Discontinued => "discontinued",
        }
    }
}
