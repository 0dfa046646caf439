//! What the outbox and its relay promise, on PostgreSQL and a bus that does what the test says.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod appending;
mod buses;
mod crashing;
mod delaying;
mod failing;
mod keeping;
mod leasing;
mod measuring;
mod publishing;
mod stopping;
mod waking;
mod world;
