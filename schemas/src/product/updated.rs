//! `product.updated`: the catalogue says something else of a product.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProductV1;
use crate::event::{event, newest};

/// What the catalogue says of a product was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "product.updated v1")]
pub struct ProductUpdatedV1(pub ProductV1);

event!("product.updated", 1, ProductUpdatedV1, 0.product_id);
newest!(ProductUpdatedV1);
