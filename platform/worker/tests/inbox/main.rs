//! What the worker promises, on SQS and PostgreSQL. Each file is one kind of promise.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod applying;
mod effects;
mod example;
mod failing;
mod handlers;
mod holding;
mod measured;
mod ordering;
mod permutations;
mod queues;
mod receiving;
mod rejecting;
mod seen;
mod settling;
mod stopping;
mod world;
