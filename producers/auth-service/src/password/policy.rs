//! What may be a password (NIST SP 800-63B-4, where it is the only factor): long and hard to guess rather than colourful.

use secrecy::{ExposeSecret, SecretString};
use service::settings::{Env, SettingError};
use unicode_normalization::UnicodeNormalization;

use super::strength::is_easy;

use crate::EmailAddress;

/// A password as it is hashed: NFKC, so that it is the same from every keyboard.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// What may become somebody's password, unless it is easy to guess: that is still to be looked at.
#[derive(Debug, Clone)]
pub struct NewPassword {
    password: Password,
    email: Option<EmailAddress>,
}

/// What a new password has to be. One that is only tried has to be short enough to be looked at, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    min_characters: usize,
}

/// Why it may not be used. Says what it should be, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    #[error("should have at least {0} characters")]
    TooShort(usize),
    #[error("should have at most {MAX_CHARACTERS} characters and {MAX_BYTES} bytes")]
    TooLong,
    #[error("should not contain the e-mail address or what stands before its @")]
    ContainsEmail,
    #[error(
        "should be harder to guess: not common words, dates, rows of keys, repetitions, or the name of this service"
    )]
    TooEasy,
}

pub const MIN_CHARACTERS: usize = 15;
pub const MAX_CHARACTERS: usize = 128;
const MAX_BYTES: usize = 512;

/// Where a second factor is asked for elsewhere; NIST allows no fewer.
const LEAST_MIN_CHARACTERS: usize = 8;
const MOST_MIN_CHARACTERS: usize = 64;

/// A shorter part before the @ is in too many good passwords by chance.
const MIN_TELLING_LOCAL_PART: usize = 4;

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_characters: MIN_CHARACTERS }
    }
}

impl PasswordPolicy {
    /// `PASSWORD_MIN_CHARACTERS` (15).
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let range = LEAST_MIN_CHARACTERS..=MOST_MIN_CHARACTERS;
        Ok(Self { min_characters: env.number_or("PASSWORD_MIN_CHARACTERS", MIN_CHARACTERS, range)? })
    }

    pub fn min_characters(self) -> usize {
        self.min_characters
    }

    /// Whether it may be one, as far as that is told at a glance. `email` is the account's, where it is known.
    pub fn check(self, text: &SecretString, email: Option<&EmailAddress>) -> Result<NewPassword, UnfitPassword> {
        let password = Password::attempt(text)?;
        // Counted composed, so that a keyboard that sends accents apart gains nothing; but not in NFKC, which makes one
        // ligature many letters.
        if text.expose_secret().nfc().count() < self.min_characters {
            return Err(UnfitPassword::TooShort(self.min_characters));
        }
        if email.is_some_and(|email| contains(&password.0, email)) {
            return Err(UnfitPassword::ContainsEmail);
        }
        Ok(NewPassword { password, email: email.cloned() })
    }
}

impl NewPassword {
    /// The password, unless it is easy to guess. Can take nearly as long as a hash: for a thread that may.
    pub(super) fn judged(self) -> Result<Password, UnfitPassword> {
        let email = self.email.as_ref().and_then(|email| email.as_str().split_once('@'));
        let (local, domain) = email.unwrap_or_default();
        let about = local.split(['.', '-', '_', '+']).chain(domain.split('.')).chain(["waypost", local, domain]);
        let about: Vec<&str> = about.filter(|word| word.len() > 2).collect();
        if is_easy(self.password.0.expose_secret(), &about) { Err(UnfitPassword::TooEasy) } else { Ok(self.password) }
    }
}

impl Password {
    /// One that is tried, whatever was asked of it when it was set.
    pub fn attempt(text: &SecretString) -> Result<Self, UnfitPassword> {
        let text = text.expose_secret();
        if text.len() > MAX_BYTES || text.nfc().count() > MAX_CHARACTERS {
            return Err(UnfitPassword::TooLong);
        }
        Ok(Self(SecretString::from(text.nfkc().collect::<String>())))
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
        let password = PasswordPolicy::default().check(&SecretString::from(text), Some(&email))?.judged()?;
        Ok(String::from_utf8(password.as_bytes().to_vec()).unwrap())
    }

    /// Letters without a pattern.
    fn mixed(letters: &str, count: usize) -> String {
        let letters: Vec<_> = letters.split(' ').collect();
        let mut at = 7u64;
        let mut next = || {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            letters[(at >> 33) as usize % letters.len()]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        use UnfitPassword::{TooLong, TooShort};
        let (plain, composed, apart) =
            ("k v q z x j 7 4 9 w", "ä ë ï ö ü ÿ", "a\u{308} e\u{308} i\u{308} o\u{308} u\u{308}");
        for (text, want) in [
            (String::new(), Some(TooShort(15))),
            (mixed(plain, 14), Some(TooShort(15))),
            (mixed(plain, 15), None),
            (mixed(plain, 128), None),
            (mixed(plain, 129), Some(TooLong)),
            (mixed(composed, 15), None),
            (mixed(apart, 14), Some(TooShort(15))),
            (mixed(apart, 128), None),
            (mixed("🔑 🦊 🌍 🎲 🧭", 128), None),
            // One letter that NFKC makes eighteen of.
            ("\u{fdfa}".repeat(14), Some(TooShort(15))),
            (mixed("🔑 🦊 🌍 🎲 🧭", 129), Some(TooLong)),
        ] {
            assert_eq!(check(&text, "ada@example.com").err(), want, "{} of {text:.8}", text.chars().count());
        }
        // What is tried has an upper bound only.
        let attempt = |text: &str| Password::attempt(&SecretString::from(text)).err();
        assert_eq!([attempt(""), attempt("x"), attempt(&"x".repeat(128))], [None; 3]);
        assert_eq!(attempt(&"x".repeat(129)), Some(TooLong));
    }

    #[test]
    fn the_least_length_is_a_setting_and_never_below_eight() {
        let policy = |value| PasswordPolicy::from_env(&Env::of([("PASSWORD_MIN_CHARACTERS", value)]));
        let check = |policy: PasswordPolicy| policy.check(&SecretString::from("kvq7zx4jw2"), None).err();
        assert_eq!(check(policy("8").unwrap()), None);
        assert_eq!(check(policy("11").unwrap()), Some(UnfitPassword::TooShort(11)));
        assert_eq!(
            policy("7").unwrap_err().to_string(),
            "PASSWORD_MIN_CHARACTERS is `7`, should be a whole number from 8 to 64"
        );
    }

    #[test]
    fn what_is_easy_to_guess_is_refused_and_words_about_the_account_are_easy() {
        use UnfitPassword::TooEasy;
        for (text, email, want) in [
            ("xxxxxxxxxxxxxxxxxx", "ada@example.com", Some(TooEasy)),
            ("               ", "ada@example.com", Some(TooEasy)),
            ("passwordpassword1", "ada@example.com", Some(TooEasy)),
            ("qwertyuiopasdfgh", "ada@example.com", Some(TooEasy)),
            ("12345678901234567890", "ada@example.com", Some(TooEasy)),
            ("abcdefghijklmnopq", "ada@example.com", Some(TooEasy)),
            ("waypostwaypostwaypost", "ada@example.com", Some(TooEasy)),
            ("lovelace-engines-1", "ada@lovelace-engines.example", Some(TooEasy)),
            ("lovelace-engines-1", "ada@example.com", None),
            ("correct horse battery staple", "ada@example.com", None),
            ("she hums along to trams", "ada@example.com", None),
        ] {
            assert_eq!(check(text, email).err(), want, "{text}");
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
        ] {
            assert_eq!(check(text, email).err(), want, "{text}");
        }
    }

    #[test]
    fn it_does_not_show_itself() {
        let password = Password::attempt(&SecretString::from("correct horse battery")).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
