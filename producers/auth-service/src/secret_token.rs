//! Tokens that mean nothing by themselves: a prefix, 256 random bits and a checksum.
//!
//! `rt_<43 letters of base64url>_<6 letters>`. The prefix tells what was found, also to those who look for leaked
//! secrets; the checksum tells a mistyped token from a wrong one without asking the database. What is stored is the
//! SHA-256: of so many random bits nobody finds the token by its hash (ASVS 6.5.2).

use std::{fmt, marker::PhantomData};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

/// What a token is for.
pub(crate) trait Purpose {
    const PREFIX: &'static str;
}

/// Makes the next access token of a session, and its own successor.
pub(crate) enum Refresh {}
/// Shows that an address is somebody's.
pub(crate) enum EmailVerification {}
/// Sets a new password.
pub(crate) enum PasswordReset {}

impl Purpose for Refresh {
    const PREFIX: &'static str = "rt_";
}

impl Purpose for EmailVerification {
    const PREFIX: &'static str = "evt_";
}

impl Purpose for PasswordReset {
    const PREFIX: &'static str = "prt_";
}

/// A token of one purpose. Its debug form does not show it.
pub(crate) struct SecretToken<P> {
    secret: SecretBox<[u8; SECRET]>,
    hash: TokenHash,
    purpose: PhantomData<fn() -> P>,
}

/// As the database knows it.
pub(crate) type TokenHash = [u8; 32];

/// The system has no random bytes to give.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomBytes;

const SECRET: usize = 32;
const SECRET_LETTERS: usize = 43;
const CHECKSUM_LETTERS: usize = 6;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl<P: Purpose> SecretToken<P> {
    pub(crate) fn generate() -> Result<Self, NoRandomBytes> {
        random_bytes().map(Self::of)
    }

    fn of(secret: [u8; SECRET]) -> Self {
        let secret = SecretBox::new(Box::new(secret));
        let hash = Sha256::digest(text::<P>(&secret).expose_secret()).into();
        Self { secret, hash, purpose: PhantomData }
    }

    /// `None` for whatever was not printed by [`text`](Self::text).
    pub(crate) fn parse(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret();
        let (body, checksum) = text.split_at_checked(P::PREFIX.len() + SECRET_LETTERS)?;
        let secret = body.strip_prefix(P::PREFIX)?;
        if checksum.strip_prefix('_')?.as_bytes() != checksum_of(body) {
            return None;
        }
        // Strict: a letter with bits that mean nothing would be a second spelling of the same token.
        let secret: [u8; SECRET] = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        Some(Self::of(secret))
    }

    /// What is given to the client.
    pub(crate) fn text(&self) -> SecretString {
        text::<P>(&self.secret)
    }

    pub(crate) fn hash(&self) -> &TokenHash {
        &self.hash
    }
}

fn text<P: Purpose>(secret: &SecretBox<[u8; SECRET]>) -> SecretString {
    let body = format!("{}{}", P::PREFIX, URL_SAFE_NO_PAD.encode(secret.expose_secret()));
    let checksum = checksum_of(&body);
    SecretString::from(format!("{body}_{}", checksum.map(char::from).iter().collect::<String>()))
}

/// What those who take a token of each purpose, told by its prefix, read in a text; printed again. For tests from outside:
/// whoever has no other way in tries the parsers by it.
#[doc(hidden)]
pub fn read_and_printed_again(text: &SecretString) -> [(&'static str, Option<SecretString>); 3] {
    fn of<P: Purpose>(text: &SecretString) -> (&'static str, Option<SecretString>) {
        (P::PREFIX, SecretToken::<P>::parse(text).map(|token| token.text()))
    }
    [of::<Refresh>(text), of::<EmailVerification>(text), of::<PasswordReset>(text)]
}

impl SecretToken<Refresh> {
    /// The token that follows this one: the same for the same salt, and nobody's guess without both. So the one who holds
    /// this token can be given its successor again, by any instance, while the database alone knows neither.
    pub(crate) fn successor(&self, salt: &[u8; SECRET]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose_secret());
        let mut message = hmac::Context::with_key(&key);
        message.update(b"waypost: successor of a refresh token\0");
        message.update(salt);
        let tag = message.sign();
        Self::of(tag.as_ref().try_into().expect("a tag of SHA-256 has 32 bytes"))
    }
}

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomBytes> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomBytes)?;
    Ok(bytes)
}

fn checksum_of(body: &str) -> [u8; CHECKSUM_LETTERS] {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut letters = [b'0'; CHECKSUM_LETTERS];
    for letter in letters.iter_mut().rev() {
        *letter = BASE_62[rest % BASE_62.len()];
        rest /= BASE_62.len();
    }
    letters
}

impl<P> fmt::Debug for SecretToken<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken([redacted: secret])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<TokenHash> {
        SecretToken::<Refresh>::parse(&SecretString::from(text)).map(|token| *token.hash())
    }

    proptest! {
        #[test]
        fn what_was_printed_is_read_and_is_the_only_spelling(secret in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), other in any::<char>()) {
            let token = SecretToken::<Refresh>::of(secret);
            let text = token.text();
            let text = text.expose_secret();
            prop_assert_eq!(text.len(), 3 + 43 + 1 + 6);
            prop_assert_eq!(parse(text), Some(*token.hash()));
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{}", text);

            let mut letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len());
            prop_assume!(letters[at] != other);
            letters[at] = other;
            prop_assert_eq!(parse(&letters.into_iter().collect::<String>()), None);
            prop_assert_eq!(parse(&text[..at]), None);
        }

        #[test]
        fn nothing_makes_the_parser_panic(text in any::<String>()) {
            prop_assert_eq!(parse(&text), None);
            prop_assert_eq!(parse(&format!("rt_{text}")), None);
        }

        #[test]
        fn what_has_the_right_shape_needs_the_right_checksum(body in "[A-Za-z0-9_-]{43}", checksum in "[A-Za-z0-9]{6}") {
            let text = format!("rt_{body}_{checksum}");
            let right = checksum_of(&text[..46]).as_slice() == checksum.as_bytes();
            prop_assert!(right || parse(&text).is_none());
        }
    }

    #[test]
    fn a_token_of_another_purpose_is_none() {
        let reset = SecretToken::<PasswordReset>::generate().unwrap();
        assert!(reset.text().expose_secret().starts_with("prt_"));
        assert_eq!(parse(reset.text().expose_secret()), None);
        assert!(SecretToken::<EmailVerification>::parse(&reset.text()).is_none());
    }

    #[test]
    fn a_successor_follows_from_token_and_salt_and_from_nothing_less() {
        let (one, other) = (SecretToken::<Refresh>::of([1; 32]), SecretToken::<Refresh>::of([2; 32]));
        assert_eq!(one.successor(&[7; 32]).hash(), one.successor(&[7; 32]).hash());
        assert_ne!(one.successor(&[7; 32]).hash(), one.successor(&[8; 32]).hash());
        assert_ne!(one.successor(&[7; 32]).hash(), other.successor(&[7; 32]).hash());
        assert_ne!(one.successor(&[7; 32]).hash(), one.hash());
    }

    #[test]
    fn it_does_not_show_itself() {
        let token = SecretToken::<Refresh>::of([0; 32]);
        assert!(!format!("{token:?}").contains("AAA"), "{token:?}");
    }
}
