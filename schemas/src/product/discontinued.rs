//! `product.discontinued`: a product is sold no more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProductV1;
use crate::event::{event, newest};

/// A product is sold no more. It stays known, so that a list that holds it can say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "product.discontinued v1")]
pub struct ProductDiscontinuedV1(pub ProductV1);

event!("product.discontinued", 1, ProductDiscontinuedV1, 0.product_id);
newest!(ProductDiscontinuedV1);
