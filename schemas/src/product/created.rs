//! `product.created`: the catalogue has a product more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProductV1;
use crate::event::{event, newest};

/// A product was added to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "product.created v1")]
pub struct ProductCreatedV1(pub ProductV1);

event!("product.created", 1, ProductCreatedV1, 0.product_id);
newest!(ProductCreatedV1);
