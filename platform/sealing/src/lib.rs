//! Secrets in events, sealed for the one service that reads them.
//!
//! An event passes a topic, queues, dead-letter queues, archives and the tools that look into them. A token that lets its
//! bearer into an account must be readable in none of those, so its producer seals it to the public key of the service
//! that it is for.

pub mod purpose;
