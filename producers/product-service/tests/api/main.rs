//! product-service over HTTP, on a real database of each test's own, with an issuer of access tokens beside it.
//!
//! Every answer that any of these tests gets is held against the API's own description ([`described`]): its status, its
//! headers, its media type, its body, and the kind of problem that it tells of.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod adding;
mod authorizing;
mod changing;
mod describing;
mod discontinuing;
mod importing;
mod limiting;
mod paging;
mod reading;
mod serving;
mod telling;
mod world;

use fixtures::described;
use world::{Service, database};
