//! user-service's API over HTTP, on a real database of each test's own, with an issuer of access tokens beside it, and with the
//! worker's own way from an event to a row.
//!
//! Every answer that any of these tests gets is held against the API's own description ([`described`]): its status, its
//! headers, its media type, its body, and the kind of problem that it tells of.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod addresses;
mod administering;
mod authorizing;
mod cards;
mod describing;
mod erasing;
mod idempotency;
mod limiting;
mod paging;
mod payment_methods;
mod pending;
mod preferences;
mod profile;
mod replica;
mod serving;
mod wishlist;
mod world;

use fixtures::{described, recording};
use world::Service;
