//! The catalogue: which products there are, what they cost, and whether they can be had.
//!
//! Every change is one transaction: the product's row and the events about it are committed together or not at all
//! (`change`). An event carries the product's whole state as the change left it, and a version that rises with each; where
//! one change is told by two events, both carry the same state, so whoever applies them in any order, or only one of them,
//! ends with what is in the row.
//!
//! A discontinued product stays what it was, for ever: others may list it, and a SKU never comes to mean something else.
//!
//! There are no users here. Administrators are who auth-service says they are, in access tokens that are checked by the keys
//! it publishes: whoever was one a moment ago can act as one until their token expires, ten minutes at most.
//!
//! This crate owns the tables of `product_db`. It knows nothing of the bus.

mod api;
mod change;
mod failure;
mod import;
mod limits;
mod product;
mod settings;

use schemas::{Event, EventType, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductUpdatedV1};

pub use api::{Parts, health, internal_router, router};
pub use change::Store;
pub use failure::Failure;
pub use import::{Import, ImportRow, Imported, WrongRow, import, read};
pub use product::{
    Product,
    changing::{Changed, Edit, change},
    creation::{Created, NewProduct, create},
    current_state,
    discontinuation::{Discontinued, discontinue},
    list::{ProductFilter, find, list},
};
pub use settings::ProductSettings;

/// The service's name: the `source` of its events, and what databases and metrics call it.
pub const NAME: &str = "product-service";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The events that it sends.
pub const SENDS: &[EventType] =
    &[ProductCreatedV1::TYPE, ProductDiscontinuedV1::TYPE, ProductPriceChangedV1::TYPE, ProductUpdatedV1::TYPE];
