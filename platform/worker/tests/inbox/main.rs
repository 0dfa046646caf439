//! What the worker promises, on SQS and PostgreSQL. Each file is one kind of promise.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod applying;
mod failing;
mod holding;
mod rejecting;
mod stopping;
mod world;
