//! Secrets in events, sealed for the one service that reads them.
//!
//! An event passes a topic, queues, dead-letter queues, archives and the tools that look into them. A token that lets its
//! bearer into an account must be readable in none of those, so its producer seals it to the public key of the service
//! that it is for: HPKE (RFC 9180) in base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and `ChaCha20Poly1305`.
//!
//! The producer holds a [`SealingKey`], which opens nothing. The reader holds [`OpeningKeys`]: the newest pair and those
//! before it, for as long as a message sealed for them may still come. A sealed token says by its [`KeyId`] which one it
//! needs: `<key id>.<encapsulated key>.<ciphertext>`.
//!
//! Invariant: what was sealed in one [`Context`] opens in that context only. So a sealed token that is taken out of its
//! event opens in no other, for no other user, and for no other purpose.
//!
//! Base mode doesn't say who sealed: whoever holds the public key can. That an event comes from its producer is for the
//! bus to see to, by who may publish to a topic.

mod context;
mod key;
mod key_id;
pub mod purpose;
mod suite;
mod token;

pub use context::Context;
pub use key::{InvalidKey, OpeningKey, SealingKey};
pub use key_id::{InvalidKeyId, KeyId};
pub use token::{LONGEST_SECRET, OpenError, OpeningKeys, SealError};
