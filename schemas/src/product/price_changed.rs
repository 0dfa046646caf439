//! `product.price.changed`: a product costs more or less than it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProductV1;
use crate::event::{event, newest};

/// A product has another price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "product.price.changed v1")]
pub struct ProductPriceChangedV1(pub ProductV1);

event!("product.price.changed", 1, ProductPriceChangedV1, 0.product_id);
newest!(ProductPriceChangedV1);
