//! Every backend is held to the one conformance suite.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod long_polls;
mod measuring;
mod postgres;
mod proxy;
mod sns_sqs;
mod topologies;
