//! What user-service makes of its events, on a real database, by way of the worker that it runs in.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod backfilling;
mod converging;
mod erasing;
mod events;
mod product_events;
mod products;
mod reading;
mod recording;
mod world;
