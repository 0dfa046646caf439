//! What stands for an address where the address itself must not be.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    EmailAddress,
    secret_token::{NoRandomBytes, random_bytes},
};

/// Makes pseudonyms with a key: without it, nobody finds an address by trying all there are.
#[derive(Clone)]
pub struct Pseudonyms(hmac::Key);

/// HMAC-SHA256 of a normalised address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pseudonym([u8; 32]);

/// Why a key is no good. Says what it should be, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be at least 32 random bytes in base64, as `openssl rand -base64 32` prints them")]
pub struct UnfitPseudonymKey;

const SHORTEST_KEY: usize = 32;

impl Pseudonyms {
    pub fn parse(text: &SecretString) -> Result<Self, UnfitPseudonymKey> {
        let key = STANDARD.decode(text.expose_secret().trim()).map_err(|_| UnfitPseudonymKey)?;
        if key.len() < SHORTEST_KEY {
            return Err(UnfitPseudonymKey);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// A secret for another use, which all instances make from the same key and from which the key does not follow.
    pub fn derive(&self, use_of_it: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        // No address begins like this.
        context.update(b"\0derived\0");
        context.update(use_of_it.as_bytes());
        context.sign().as_ref().try_into().expect("a tag of SHA-256 has 32 bytes")
    }

    /// The text of a new key.
    pub fn generate() -> Result<SecretString, NoRandomBytes> {
        Ok(SecretString::from(STANDARD.encode(random_bytes::<SHORTEST_KEY>()?)))
    }

    pub(crate) fn of(&self, email: &EmailAddress) -> Pseudonym {
        let tag = hmac::sign(&self.0, email.as_str().as_bytes());
        Pseudonym(tag.as_ref().try_into().expect("a tag of SHA-256 has 32 bytes"))
    }
}

impl Pseudonym {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In hexadecimal.
impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (halves, _) = self.0.as_chunks();
        halves.iter().try_for_each(|half| write!(f, "{:032x}", u128::from_be_bytes(*half)))
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms([redacted: secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_pseudonym_for_each_key() {
        let key = || Pseudonyms::parse(&Pseudonyms::generate().unwrap()).unwrap();
        let (one, other) = (key(), key());
        let [ada, bob] = ["Ada@example.com", "bob@example.com"].map(|text| EmailAddress::parse(text).unwrap());
        assert_eq!(one.of(&ada), one.of(&EmailAddress::parse("ada@EXAMPLE.com").unwrap()));
        assert_ne!(one.of(&ada), one.of(&bob));
        assert_ne!(one.of(&ada), other.of(&ada));
        assert_eq!(one.of(&ada).to_string().len(), 64);
        let bytes: [u8; 32] = std::array::from_fn(|number| number as u8 * 8);
        let want = "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8";
        assert_eq!(Pseudonym(bytes).to_string(), want);
    }

    #[test]
    fn a_short_key_is_refused() {
        for text in ["", "hunter2", &STANDARD.encode([7; 31])] {
            assert!(Pseudonyms::parse(&SecretString::from(text)).is_err(), "{text}");
        }
    }
}
