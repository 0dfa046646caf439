//! Every backend is held to the one conformance suite.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres;
mod sns_sqs;
mod topologies;
