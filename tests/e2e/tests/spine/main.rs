//! The spine, end to end: what is promised of one event's whole journey, and of the structure that carries it.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod arrows;
mod budgets;
mod crashing;
mod fuzzed;
mod journey;
mod mutants;
mod platform;
mod promises;
mod sdk;
