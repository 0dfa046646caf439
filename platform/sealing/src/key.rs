//! The two keys of a pair, and the texts that are kept of them in files.
//!
//! A text says which of the two it is, so that nobody publishes the private one by mistake, and has the pair's id in it,
//! so that a letter lost in copying is noticed here and not by users whose links no one can open.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hpke::{Deserializable, Serializable};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    key_id::KeyId,
    suite::{self, KEY_LENGTH, PrivateKey, PublicKey},
};

/// What secrets are sealed with. Public: it opens nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey {
    id: KeyId,
    pub(crate) key: PublicKey,
}

/// What secrets are opened with. Neither its debug form nor any error shows it, and its memory is cleared after it.
#[derive(Clone)]
pub struct OpeningKey {
    id: KeyId,
    pub(crate) key: PrivateKey,
}

/// Why a text is no key of the kind that was asked for; never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("a private key, expected the public one of its pair, which begins with `{PUBLIC}`")]
    IsPrivate,
    #[error("a public key, expected the private one of its pair, which begins with `{PRIVATE}`")]
    IsPublic,
    #[error("not a key, expected `{expected}` and after it the pair's id, a colon and the key in base64url")]
    Malformed { expected: &'static str },
    #[error("damaged: the id in it is of another key")]
    Damaged,
}

const PUBLIC: &str = "waypost-public-sealing-key-v1:";
const PRIVATE: &str = "waypost-private-opening-key-v1:";

/// The id that a text has in it, and the bytes of the key.
fn take_apart(text: &str, prefix: &'static str) -> Result<(KeyId, Zeroizing<[u8; KEY_LENGTH]>), InvalidKey> {
    let malformed = || InvalidKey::Malformed { expected: prefix };
    let (id, encoded) = text.trim().strip_prefix(prefix).and_then(|rest| rest.split_once(':')).ok_or_else(malformed)?;
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    match URL_SAFE_NO_PAD.decode_slice_unchecked(encoded, key.as_mut_slice()) {
        Ok(KEY_LENGTH) => Ok((id.parse().map_err(|_| malformed())?, key)),
        _ => Err(malformed()),
    }
}

impl SealingKey {
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if text.trim_start().starts_with(PRIVATE) {
            return Err(InvalidKey::IsPrivate);
        }
        let (id, bytes) = take_apart(text, PUBLIC)?;
        let key = PublicKey::from_bytes(bytes.as_slice()).map_err(|_| InvalidKey::Malformed { expected: PUBLIC })?;
        let parsed = Self::of(key);
        if parsed.id == id { Ok(parsed) } else { Err(InvalidKey::Damaged) }
    }

    fn of(key: PublicKey) -> Self {
        Self { id: KeyId::of(&key.to_bytes()), key }
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What its file holds.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}:{}", self.id, URL_SAFE_NO_PAD.encode(self.key.to_bytes()))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl OpeningKey {
    pub fn generate() -> Self {
        let (key, public) = suite::generate();
        Self { id: SealingKey::of(public).id, key }
    }

    pub fn parse(text: &SecretString) -> Result<Self, InvalidKey> {
        let text = text.expose_secret();
        if text.trim_start().starts_with(PUBLIC) {
            return Err(InvalidKey::IsPublic);
        }
        let (id, bytes) = take_apart(text, PRIVATE)?;
        let key = PrivateKey::from_bytes(bytes.as_slice()).map_err(|_| InvalidKey::Malformed { expected: PRIVATE })?;
        let parsed = Self { id: SealingKey::of(suite::public_of(&key)).id, key };
        if parsed.id == id { Ok(parsed) } else { Err(InvalidKey::Damaged) }
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What its file holds.
    pub fn text(&self) -> SecretString {
        let mut bytes = self.key.to_bytes();
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
        bytes.as_mut_slice().zeroize();
        let text = Zeroizing::new(format!("{PRIVATE}{}:{}", self.id, *encoded));
        text.as_str().into()
    }

    /// The public key of its pair.
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey { id: self.id, key: suite::public_of(&self.key) }
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey({})", self.id)
    }
}
