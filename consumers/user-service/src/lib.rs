//! user-service: builds user profiles from what auth-service emits, and forgets a user for good when it says so; keeps the products
//! of their lists as product-service tells of them (`record_product`); and keeps what users write beside them, which it serves to
//! them alone.
//!
//! Everything here that events set is derived from them, so any order and any number of copies of the same events end in the
//! same rows: each group of columns keeps the newest version it has seen, and every handler upserts (`change`). An erasure
//! absorbs everything (`erase_user`): the row of the profile is the tombstone, so whatever comes of the user afterwards finds
//! it there. Whoever writes anything of a user locks that row first, the API's own changes included (`writing`).

mod addresses;
mod administration;
mod api;
mod change;
mod erase_user;
mod idempotency;
mod limits;
mod measure;
mod payment_methods;
mod preferences;
mod profile;
mod record;
mod record_product;
mod refusal;
pub mod retention;
mod settings;
mod store;
mod values;
mod wishlist;
mod writing;

use schemas::{
    Clock, Event, EventType, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductUpdatedV1,
    UserCreatedV2, UserDeactivatedV1, UserEmailChangedV1, UserEmailVerifiedV1, UserErasureCompletedV1,
    UserPasswordChangedV1, UserReactivatedV1, UserRolesChangedV1, UserSessionsRevokedV1,
};
use worker::Consumer;

use erase_user::EraseUser;
use record::Record;
use record_product::RecordProduct;

pub use api::{Parts, health, internal_router, router};
pub use measure::describe_metrics;
pub use refusal::{Refusal, Thing};
pub use settings::UserSettings;
pub use store::Store;

/// The name of this service, and of its queue.
pub const NAME: &str = "user-service";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The events that it sends.
pub const SENDS: &[EventType] = &[UserErasureCompletedV1::TYPE];

/// What it handles, for whoever derives from it or looks into its inbox.
pub fn declared() -> Consumer {
    consumer(Clock::system())
}

/// The events that user-service listens to, and what it does with each.
pub fn consumer(clock: Clock) -> Consumer {
    Consumer::named(NAME)
        .apply(Record::<UserCreatedV2>::new())
        .apply(Record::<UserEmailVerifiedV1>::new())
        .apply(Record::<UserEmailChangedV1>::new())
        .apply(Record::<UserPasswordChangedV1>::new())
        .apply(Record::<UserRolesChangedV1>::new())
        .apply(Record::<UserSessionsRevokedV1>::new())
        .apply(Record::<UserDeactivatedV1>::new())
        .apply(Record::<UserReactivatedV1>::new())
        .apply(EraseUser::by(clock))
        .apply(RecordProduct::<ProductCreatedV1>::new())
        .apply(RecordProduct::<ProductUpdatedV1>::new())
        .apply(RecordProduct::<ProductPriceChangedV1>::new())
        .apply(RecordProduct::<ProductDiscontinuedV1>::new())
        .build()
}
