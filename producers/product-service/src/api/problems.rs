//! The kinds of problems that this API has beside what every API has.

use std::time::Duration;

use axum::http::StatusCode;
use service::{ErrorChain, Problem, postgres, problem::Kind};

use crate::Failure;

pub const NO_SUCH_PRODUCT: Kind = Kind::named(
    StatusCode::NOT_FOUND,
    "no-such-product",
    "There is no such product",
    "a product that was ever in the catalogue is found for ever: the id is wrong",
);
pub const SKU_TAKEN: Kind = Kind::named(
    StatusCode::CONFLICT,
    "sku-taken",
    "There is a product with this SKU",
    "nothing was added: `GET /v1/products?sku=` finds it, with `status=discontinued` where it is sold no more",
);
pub const DISCONTINUED: Kind = Kind::named(
    StatusCode::CONFLICT,
    "product-discontinued",
    "The product is discontinued",
    "it does not change any more; what is sold again is a new product, with a SKU of its own",
);

pub const ALL: &[&Kind] = &[&NO_SUCH_PRODUCT, &SKU_TAKEN, &DISCONTINUED];

const AGAIN_SOON: Duration = Duration::from_secs(1);

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Database(source) | Failure::Append(outbox::AppendError::Database(source))
                if postgres::is_unavailable(source) =>
            {
                tracing::warn!(error = %ErrorChain(&failure), "the database is not there");
                Self::unavailable(AGAIN_SOON)
            }
            _ => Self::internal(&failure),
        }
    }
}
