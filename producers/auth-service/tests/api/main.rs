//! auth-service over HTTP, on a real database of each test's own.
//!
//! Every answer that any of these tests gets is held against the API's own description ([`described`]): its status, its
//! headers, its media type, its body, and the kind of problem that it tells of.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod administering;
mod alike;
mod auditing;
mod caching;
mod current_state;
mod describing;
mod erasing;
mod limiting;
mod mailing;
mod owning;
mod passwords;
mod refreshing;
mod refusals;
mod registering;
mod requesting;
mod secrets;
mod serving;
mod signing_in;
mod starting;
mod world;

use fixtures::{described, recording};
use world::{PASSWORD, Service, database, patient};
