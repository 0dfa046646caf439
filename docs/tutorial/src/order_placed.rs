//! `order.placed`: somebody ordered something, and the shop will deliver it.

use schemars::JsonSchema;
use schemas::{DisplayName, Email, Id, Instant, Optional, Sku, event, newest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// An order was placed, or placed again with changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "order.placed v1")]
pub struct OrderPlacedV1 {
    /// The order's id.
    #[serde(with = "Id")]
    pub order_id: Uuid,
    /// What was ordered.
    pub article: Sku,
    /// Whom the parcel is for.
    pub delivery_name: DisplayName,
    /// When the order was placed.
    #[serde(with = "Instant")]
    pub placed_at: OffsetDateTime,
}

/// An order was placed, or placed again with changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "order.placed v2")]
pub struct OrderPlacedV2 {
    /// The order's id.
    #[serde(with = "Id")]
    pub order_id: Uuid,
    /// What was ordered.
    pub article: Sku,
    /// Whom the parcel is for.
    pub delivery_name: DisplayName,
    /// When the order was placed.
    #[serde(with = "Instant")]
    pub placed_at: OffsetDateTime,
    /// Whether the parcel has to leave on the same day.
    #[schemars(extend("x-classification" = "open"))]
    pub express: bool,
    /// Where to announce the parcel, where the customer asked for it.
    #[serde(default, with = "Optional::<Email>", skip_serializing_if = "Option::is_none")]
    pub announce_to: Option<Email>,
}

event!("order.placed", 1, OrderPlacedV1, order_id);
event!("order.placed", 2, OrderPlacedV2, order_id);
newest!(OrderPlacedV2, OrderPlacedV1);

/// What was true of every order of version 1: there was no express delivery, and nobody was asked for an address.
impl From<OrderPlacedV1> for OrderPlacedV2 {
    fn from(v1: OrderPlacedV1) -> Self {
        Self {
            order_id: v1.order_id,
            article: v1.article,
            delivery_name: v1.delivery_name,
            placed_at: v1.placed_at,
            express: false,
            announce_to: None,
        }
    }
}
