//! Sealed tokens: `<key id>.<encapsulated key>.<ciphertext>`, the last two in base64url.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemas::SealedToken;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    context::Context,
    key::{OpeningKey, SealingKey},
    key_id::KeyId,
    suite::{self, INFO, KEY_LENGTH, TAG_LENGTH},
};

/// The longest secret, in bytes, whose sealed form fits into a [`SealedToken`].
pub const LONGEST_SECRET: usize = 3_010;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("a secret of {length} bytes is too long to be sealed, should be at most {LONGEST_SECRET}")]
    TooLong { length: usize },
    /// It is a key by its shape, and no one can have its private counterpart.
    #[error("nothing can be sealed with the key {0}")]
    UnusableKey(KeyId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed for a key that isn't among these: it may have been made since they were read, or removed too early.
    #[error("sealed for the key {0}, which is not here")]
    UnknownKey(KeyId),
    #[error("not a sealed token, expected a key's id, an encapsulated key and a ciphertext")]
    Malformed,
    /// Sealed for another event, user or purpose, or changed since.
    #[error("sealed for something else, or changed since")]
    NotForThis,
}

impl SealingKey {
    /// The same secret sealed twice is two tokens that have nothing in common but the key's id.
    pub fn seal(&self, secret: &SecretString, context: &Context<'_>) -> Result<SealedToken, SealError> {
        let secret = secret.expose_secret().as_bytes();
        let too_long = SealError::TooLong { length: secret.len() };
        if secret.len() > LONGEST_SECRET {
            return Err(too_long);
        }
        let (encapsulated, sealed) =
            suite::seal(&self.key, INFO, secret, &context.encode()).map_err(|_| SealError::UnusableKey(self.id()))?;
        let [encapsulated, sealed] = [&encapsulated[..], &sealed].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{}.{encapsulated}.{sealed}", self.id()).try_into().map_err(|_| too_long)
    }
}

/// The keys of one reader, by their ids.
#[derive(Debug, Clone, Default)]
pub struct OpeningKeys(BTreeMap<KeyId, OpeningKey>);

impl OpeningKeys {
    pub fn open(&self, token: &SealedToken, context: &Context<'_>) -> Result<SecretString, OpenError> {
        let (id, encapsulated, sealed) = take_apart(token.as_str()).ok_or(OpenError::Malformed)?;
        let key = self.0.get(&id).ok_or(OpenError::UnknownKey(id))?;
        suite::open(&key.key, INFO, &encapsulated, &sealed, &context.encode()).map_err(|_| OpenError::NotForThis)
    }

    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.keys().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<OpeningKey> for OpeningKeys {
    fn from_iter<I: IntoIterator<Item = OpeningKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.id(), key)).collect())
    }
}

fn take_apart(token: &str) -> Option<(KeyId, Vec<u8>, Vec<u8>)> {
    let mut parts = token.split('.');
    let (id, encapsulated, sealed) = (parts.next()?, parts.next()?, parts.next()?);
    let [encapsulated, sealed] = [encapsulated, sealed].map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let (encapsulated, sealed) = (encapsulated?, sealed?);
    let is_shaped = parts.next().is_none() && encapsulated.len() == KEY_LENGTH && sealed.len() >= TAG_LENGTH;
    is_shaped.then_some((id.parse().ok()?, encapsulated, sealed))
}
