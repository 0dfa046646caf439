//! user-service: builds user profiles from what auth-service emits.
//!
//! Everything here is derived from events, so any order and any number of copies of the same events end in the same
//! rows: each group of columns keeps the newest version it has seen, and every handler upserts.

mod record_profile;

use worker::Consumer;

pub use record_profile::RecordProfile;

/// The name of this service, and of its queue.
pub const NAME: &str = "user-service";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The events that user-service listens to, and what it does with each.
pub fn consumer() -> Consumer {
    Consumer::named(NAME).apply(RecordProfile).build()
}
