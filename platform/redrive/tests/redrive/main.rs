//! Dead letters on real queues, with a real database beside them.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod erasing;
mod place;
mod resuming;
mod snapshots;
