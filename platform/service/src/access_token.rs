//! Access tokens: who is asking, signed by auth-service and checked by every API (RFC 9068, RFC 8725).
//!
//! A token has one spelling: `alg` is `EdDSA` over Ed25519, `typ` is `at+jwt`, a `kid`, and nothing else in its header. The
//! algorithm is the key's and never the header's; a key is only ever looked up in the set that is passed in, so a token
//! can't bring its own. Its claims hold ids, roles and times, and nothing that tells of a person.
//!
//! Checking takes no database, and a token's signature is checked once. What changes between two tokens of a session, such as an account that was deactivated, is
//! told by `ver`: whoever keeps a user's minimum token version refuses those below it.

mod bearer;
mod claims;
mod ed25519;
mod keys;
mod openapi;
mod parties;
mod published;
mod refused;
mod verified;
mod verifier;

pub use bearer::bearer_token;
pub use claims::Claims;
pub use keys::{Jwk, JwkSet, KeySet, PublicKey, SigningKey, UnfitKey};
pub use openapi::AccessTokenScheme;
pub use parties::Parties;
pub use published::{PublishedAt, PublishedKeys, Untaken};
pub use refused::refused;
pub use verifier::{TokenError, Verifier};

/// Where an issuer publishes its keys.
pub const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// How far the clocks of those who sign and those who check may be apart.
pub const LEEWAY: time::Duration = time::Duration::seconds(30);

/// Says what each metric of access tokens means. Call it once, in a process that checks any.
pub fn describe_metrics() {
    published::describe_metrics();
    refused::describe_metrics();
}
