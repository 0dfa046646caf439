//! Texts that users write, each of a given shape. None prints itself, and none can hold the number of a card.

mod country;
mod currency;

use std::fmt;

use serde::{Deserialize, Serialize};
use service::card_number;

pub use country::Country;
pub use currency::CurrencyInUse;

/// Why a text is refused: what it should have been, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid, expected {0}")]
pub struct Unfit(pub &'static str);

/// One line of at most so many characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Line<const LONGEST: usize>(String);

macro_rules! written {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Unfit;

            fn try_from(text: String) -> Result<Self, Unfit> {
                let fits: fn(&str) -> bool = $fits;
                if fits(&text) { Ok(Self(text)) } else { Err(Unfit($expected)) }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

written! {
    /// A telephone's number, by E.164. It may have as many digits as a card's, so it is the one text that isn't looked into.
    Phone, "a number such as +4930123456: a plus and 7 to 15 digits", |text| {
        let digits = text.strip_prefix('+').unwrap_or_default();
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    }
}

written! {
    /// Who charges a card, or what kind of card it is.
    ShortName, "1 to 64 lower-case letters, digits and hyphens, a letter first", |text| {
        let fits = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits)
    }
}

written! {
    /// What stands for a card at who charges it.
    ProviderToken, "1 to 255 visible ASCII characters, a letter among them", |text| {
        let has_letter = text.bytes().any(|b| b.is_ascii_alphabetic());
        text.len() <= 255 && has_letter && text.bytes().all(|b| b.is_ascii_graphic())
    }
}

written! {
    /// The last digits of a card's number, which tell its owner which one it is.
    LastDigits, "four digits", |text| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit())
}

written! {
    /// The name of a time zone, as far as its shape tells. Which there are, the database knows.
    TimeZone, "a time zone's name such as Europe/Berlin", |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-');
        text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(fits)
    }
}

impl<const LONGEST: usize> Line<LONGEST> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const LONGEST: usize> TryFrom<String> for Line<LONGEST> {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        if text.is_empty() || text.chars().count() > LONGEST || text.contains(char::is_control) {
            return Err(Unfit(match LONGEST {
                20 => "1 to 20 characters, none of them a control character",
                100 => "1 to 100 characters, none of them a control character",
                _ => "1 to 200 characters, none of them a control character",
            }));
        }
        if card_number::is_in(&text) { Err(Unfit("a text that holds no card's number")) } else { Ok(Self(text)) }
    }
}

impl<const LONGEST: usize> fmt::Debug for Line<LONGEST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_not_empty_not_too_long_of_no_control_characters_and_holds_no_card() {
        let longest = "é".repeat(20);
        for text in ["a", " ", longest.as_str()] {
            assert!(Line::<20>::try_from(text.to_owned()).is_ok(), "{text}");
        }
        let too_long = "é".repeat(21);
        for text in ["", "a\nb", "a\u{7f}", too_long.as_str(), "4111 1111 1111 1111"] {
            assert!(Line::<20>::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_user_wrote_is_not_printed() {
        let line = Line::<20>::try_from("hunter2".to_owned()).unwrap();
        let token = ProviderToken::try_from("hunter2".to_owned()).unwrap();
        assert_eq!(format!("{line:?} {token:?}"), "Line([redacted]) ProviderToken([redacted])");
    }

    #[test]
    fn what_stands_for_a_card_is_no_number() {
        for text in ["", "4111111111111111", "123-456", "pm 1", "pm_ä", &"x".repeat(256)] {
            assert!(ProviderToken::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["pm_1MqLiJLkdIwHu7ixUEgbFdYF", "B-8XW15515J4571684E", "a"] {
            assert!(ProviderToken::try_from(text.to_owned()).is_ok(), "{text}");
        }
    }
}
