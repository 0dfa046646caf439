//! The code of the tutorial at work, and its text against the code.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod contract;
mod readme;
mod running;
mod world;
