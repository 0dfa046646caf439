//! `CloudEvents`' `sequence` extension: a subject's version, as a string that sorts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// The version of a subject at one source: 20 decimal digits on the wire, so that text order is number order.
///
/// Versions compare within one source only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(i64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sequence is 20 decimal digits, at most 9223372036854775807")]
pub struct InvalidSequence;

impl Sequence {
    /// The version that follows `previous` at `now`: `greatest(previous + 1, unix microseconds)`. Taking the time in
    /// keeps a producer that was restored from a backup ahead of what its consumers have seen.
    pub fn after(previous: Option<Self>, now: OffsetDateTime) -> Self {
        let micros = (now.unix_timestamp_nanos() / 1_000) as i64;
        Self(previous.map_or(micros, |p| micros.max(p.0 + 1)))
    }

    /// As a database holds it.
    pub fn from_stored(value: i64) -> Self {
        Self(value)
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

impl FromStr for Sequence {
    type Err = InvalidSequence;

    fn from_str(text: &str) -> Result<Self, InvalidSequence> {
        if text.len() != 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSequence);
        }
        text.parse().map(Self).map_err(|_| InvalidSequence)
    }
}

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    proptest! {
        #[test]
        fn text_order_is_number_order(a in 0..i64::MAX, b in 0..i64::MAX) {
            prop_assert_eq!(Sequence(a).cmp(&Sequence(b)), Sequence(a).to_string().cmp(&Sequence(b).to_string()));
            prop_assert_eq!(Sequence(a).to_string().parse(), Ok(Sequence(a)));
        }
    }

    #[test]
    fn a_sequence_never_goes_back_with_the_clock() {
        let first = Sequence::after(None, datetime!(2026-01-02 03:04:05.678901 UTC));
        assert_eq!(first.to_string(), "00001767323045678901");
        let second = Sequence::after(Some(first), datetime!(2020-01-01 0:00 UTC));
        assert!(second > first);
    }

    #[test]
    fn a_sequence_of_another_shape_is_refused() {
        for text in ["", "1", "-0000000000000000001", "99999999999999999999", "0000176732304567890x"] {
            assert_eq!(text.parse::<Sequence>(), Err(InvalidSequence), "{text}");
        }
    }
}
