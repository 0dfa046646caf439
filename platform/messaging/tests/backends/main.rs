//! Every backend is held to the one conformance suite.

mod sns_sqs;
