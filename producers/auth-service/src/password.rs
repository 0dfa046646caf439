//! What may be a password (NIST SP 800-63B-4, where it is the only factor): long rather than colourful.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

use crate::EmailAddress;

/// A password that may be used, as it is hashed: NFKC, so that it is the same from every keyboard.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Why it may not be used. Says what it should be, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    #[error("should have at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("should have at most {MAX_CHARACTERS} characters and {MAX_BYTES} bytes")]
    TooLong,
    #[error("should not contain the e-mail address or what stands before its @")]
    ContainsEmail,
}

pub const MIN_CHARACTERS: usize = 15;
pub const MAX_CHARACTERS: usize = 128;
const MAX_BYTES: usize = 512;

/// A shorter part before the @ is in too many good passwords by chance.
const MIN_TELLING_LOCAL_PART: usize = 4;

impl Password {
    /// `email` is the account's, where it is known.
    pub fn parse(text: &SecretString, email: Option<&EmailAddress>) -> Result<Self, UnfitPassword> {
        let text = text.expose_secret();
        if text.len() > MAX_BYTES {
            return Err(UnfitPassword::TooLong);
        }
        // Counted composed, so that a keyboard that sends accents apart gains nothing; but not in NFKC, which makes one
        // ligature many letters.
        match text.nfc().count() {
            ..MIN_CHARACTERS => return Err(UnfitPassword::TooShort),
            MIN_CHARACTERS..=MAX_CHARACTERS => {}
            _ => return Err(UnfitPassword::TooLong),
        }
        let normal = SecretString::from(text.nfkc().collect::<String>());
        if email.is_some_and(|email| contains(&normal, email)) {
            return Err(UnfitPassword::ContainsEmail);
        }
        Ok(Self(normal))
    }

    /// For the hash function only.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

fn contains(password: &SecretString, email: &EmailAddress) -> bool {
    let password = SecretString::from(folded(password.expose_secret()));
    let password = password.expose_secret();
    let local = folded(email.local_part());
    password.contains(&folded(email.as_str()))
        || (local.chars().count() >= MIN_TELLING_LOCAL_PART && password.contains(&local))
}

fn folded(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, email: &str) -> Result<String, UnfitPassword> {
        let email = EmailAddress::parse(email).unwrap();
        let password = Password::parse(&SecretString::from(text), Some(&email))?;
        Ok(String::from_utf8(password.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        use UnfitPassword::{TooLong, TooShort};
        for (text, want) in [
            (String::new(), Some(TooShort)),
            ("x".repeat(14), Some(TooShort)),
            ("x".repeat(15), None),
            ("x".repeat(128), None),
            ("x".repeat(129), Some(TooLong)),
            ("ü".repeat(15), None),
            ("u\u{308}".repeat(14), Some(TooShort)),
            ("u\u{308}".repeat(128), None),
            ("🔑".repeat(128), None),
            ("\u{fdfa}".repeat(14), Some(TooShort)),
            ("🔑".repeat(129), Some(TooLong)),
            (" ".repeat(15), None),
        ] {
            assert_eq!(check(&text, "ada@example.com").err(), want, "{} of {text:.8}", text.chars().count());
        }
    }

    #[test]
    fn the_same_from_every_keyboard() {
        let composed = check("correct hörse battery", "ada@example.com").unwrap();
        assert_eq!(check("correct ho\u{308}rse battery", "ada@example.com"), Ok(composed.clone()));
        assert_eq!(check("correct hörse\u{a0}battery", "ada@example.com"), Ok(composed));
    }

    #[test]
    fn the_address_is_no_password() {
        use UnfitPassword::ContainsEmail;
        for (text, email, want) in [
            ("ada@example.com", "ada@example.com", Some(ContainsEmail)),
            ("my ADA@example.COM!!", "ada@example.com", Some(ContainsEmail)),
            ("ada likes computers", "ada@example.com", None),
            ("xxLOVELACExxxxxx", "lovelace@example.com", Some(ContainsEmail)),
            ("ｌｏｖｅｌａｃｅ１２３４５６７", "lovelace@example.com", Some(ContainsEmail)),
            ("zoë.zoe\u{308} hums along", "zoë.zoë@example.com", Some(ContainsEmail)),
            ("example.com example.com", "ada@example.com", None),
        ] {
            assert_eq!(check(text, email).err(), want, "{text}");
        }
    }

    #[test]
    fn it_does_not_show_itself() {
        let password = Password::parse(&SecretString::from("correct horse battery"), None).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
