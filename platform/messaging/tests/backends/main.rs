//! Every backend is held to the one conformance suite.

mod postgres;
mod sns_sqs;
