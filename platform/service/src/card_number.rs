//! Whether a text may hold the number of a payment card, which nothing here may keep, log or repeat.
//!
//! That is 13 to 19 digits that pass the check of ISO/IEC 7812 (Luhn), with nothing but blanks and dashes among them. Where
//! they stand in groups, any groups in a row are looked at, so that a number is found that has an expiry or a code behind it. Of
//! other numbers of that length one in ten passes as well: whoever refuses them refuses those.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use uuid::{Uuid, Variant};

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// A UUID by itself holds none, whatever its digits are.
pub fn is_in(text: &str) -> bool {
    // Most texts are seen to hold none without being taken apart. No digit is written without one of these.
    let of_digits = text.bytes().filter(|byte| byte.is_ascii_digit() || !byte.is_ascii()).count();
    if of_digits < SHORTEST || is_uuid(text) {
        return false;
    }
    let mut groups = Groups::default();
    for c in text.chars() {
        if let Some(digit) = digit(c) {
            groups.add(digit);
        } else if is_between_digits(c) {
            groups.close();
        } else {
            if groups.hold_one() {
                return true;
            }
            groups = Groups::default();
        }
    }
    groups.hold_one()
}

/// With its hyphens or without, where it has to say of which kind it is: digits alone may be something else.
fn is_uuid(text: &str) -> bool {
    let of_a_kind = |uuid: Uuid| uuid.get_variant() == Variant::RFC4122 && uuid.get_version().is_some();
    match text.len() {
        36 => Uuid::try_parse(text).is_ok(),
        32 => Uuid::try_parse(text).is_ok_and(of_a_kind),
        _ => false,
    }
}

/// In any string, any name or any number of a JSON text, as far as it can be read.
pub fn is_in_json(text: &[u8]) -> bool {
    let mut found = false;
    // What is no JSON is refused by whoever reads it for what it says.
    let _ = Search(&mut found).deserialize(&mut serde_json::Deserializer::from_slice(text));
    found
}

/// As keyboards write them, also the full-width ones of East Asia.
fn digit(c: char) -> Option<u8> {
    let narrow = match c {
        '\u{ff10}'..='\u{ff19}' => char::from_u32(u32::from(c) - 0xff10 + u32::from('0'))?,
        _ => c,
    };
    narrow.to_digit(10).map(|digit| digit as u8)
}

fn is_between_digits(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{feff}' | '\u{200b}')
}

/// Digits in a row, and where the groups begin that they stand in.
#[derive(Default)]
struct Groups {
    digits: Vec<u8>,
    starts: Vec<usize>,
    is_open: bool,
}

impl Groups {
    fn add(&mut self, digit: u8) {
        if !self.is_open {
            self.starts.push(self.digits.len());
            self.is_open = true;
        }
        self.digits.push(digit);
    }

    fn close(&mut self) {
        self.is_open = false;
    }

    /// In time that grows with the digits alone: whoever asks may have filled a whole body with them.
    fn hold_one(&self) -> bool {
        let ends: Vec<_> = self.starts.iter().skip(1).copied().chain([self.digits.len()]).collect();
        // A group has a digit at least.
        let of_groups = self
            .starts
            .iter()
            .enumerate()
            .flat_map(|(group, start)| ends[group..].iter().take(LONGEST).map(|end| (*start, *end)));
        // One group that is longer than any card's number may hold one anywhere.
        let too_long = self.starts.iter().zip(&ends).filter(|(start, end)| *end - *start > LONGEST);
        let within = too_long.flat_map(|(first, last)| {
            (*first..*last)
                .flat_map(|start| (SHORTEST..=LONGEST).map(move |length| (start, start + length)))
                .filter(|(_, end)| end <= last)
        });
        let is_as_long = |(start, end): &(usize, usize)| (SHORTEST..=LONGEST).contains(&end.saturating_sub(*start));
        of_groups.chain(within).filter(is_as_long).any(|(start, end)| passes_luhn(&self.digits[start..end]))
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled) => u32::from(if doubled > 9 { doubled - 9 } else { doubled }),
    });
    weighed.sum::<u32>().is_multiple_of(10)
}

struct Search<'a>(&'a mut bool);

impl Search<'_> {
    fn look(self, text: &str) {
        *self.0 |= is_in(text);
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.look(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Search(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key_seed(Search(&mut *self.0))?.is_some() {
            fields.next_value_seed(Search(&mut *self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_cards_number_is_found_however_it_is_written() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111 - 1111 \u{2013} 1111\u{a0}1111",
            "3782 822463 10005",
            "4222222222222",
            "6304000000000000",
            "my card: 4111111111111111.",
            "pm_4111111111111111x",
            "41111111111111114111111111111111",
            "4111 1111 1111 1111 737",
            "4111111111111111 12 28",
            "12 4111111111111111",
            "99941111111111111119999",
            "\u{ff14}111111111111111",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for text in [
            "",
            "4111111111111112",
            "411111111111",
            "4111.1111.1111.1111",
            "pm_1MqLiJLkdIwHu7ixUEgbFdYF",
            "2026-11-26T17:12:59Z",
            "+49 30 123456",
            "41111111-1111-4111-8111-000000000000",
            "41111111111141118111000000000000",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }

    #[test]
    fn it_is_found_anywhere_in_json() {
        for json in [
            r#"{"a":"4111111111111111"}"#,
            r#"{"a":[{"b":["x","4111 1111 1111 1111"]}]}"#,
            r#"{"4111111111111111":1}"#,
            r#"{"a":4111111111111111}"#,
            r#"{"a":4.111111111111111e15}"#,
            r#"{"a":"4111\u0031\u0031\u0031\u0031\u0031\u0031\u0031\u0031\u0031\u0031\u0031\u0031"}"#,
            r#"{"a":"4111111111111111","a":"x"}"#,
            r#"{"a":"4111111111111111""#,
        ] {
            assert!(is_in_json(json.as_bytes()), "{json}");
        }
        for json in [r#"{"a":"411111111111","b":"1111","c":null,"d":true,"e":-1}"#, "", "[", r#""x"#] {
            assert!(!is_in_json(json.as_bytes()), "{json}");
        }
    }

    /// By the meaning of the words, however long it takes.
    fn is_in_groups(groups: &[String]) -> bool {
        let passes = |digits: &str| {
            let digits: Vec<u8> = digits.bytes().map(|byte| byte - b'0').collect();
            (SHORTEST..=LONGEST).contains(&digits.len()) && passes_luhn(&digits)
        };
        let mut ranges =
            (0..groups.len()).flat_map(|from| (from..groups.len()).map(move |to| groups[from..=to].concat()));
        let within = |group: &String| {
            let places = (0..group.len()).flat_map(|from| (from..group.len()).map(move |to| &group[from..=to]));
            group.len() > LONGEST && { places }.any(passes)
        };
        ranges.any(|range| passes(&range)) || groups.iter().any(within)
    }

    proptest! {
        #[test]
        fn whatever_stands_in_groups_is_found_in_any_row_of_them(groups in vec("[0-9]{1,7}|[0-9]{13,24}", 1..9)) {
            prop_assert_eq!(is_in(&groups.join(" ")), is_in_groups(&groups));
            prop_assert_eq!(is_in(&format!("x{}-", groups.join("-"))), is_in_groups(&groups));
        }
    }

    /// No row of ones passes, so all of them are looked at.
    #[test]
    fn a_whole_body_of_digits_is_looked_through_to_its_end() {
        for digits in ["1".repeat(1 << 16), "1 ".repeat(1 << 15)] {
            assert!(!is_in(&digits));
            assert!(is_in(&format!("{digits} 4111 1111 1111 1111")));
        }
    }
}
