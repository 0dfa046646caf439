//! Whole numbers that every reader of JSON can hold: those up to 2⁵³ − 1, beyond which JavaScript starts to round.

use std::fmt;

use serde::de::{Error, Visitor};

/// Why a number is refused: what it should have been, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid, expected {EXPECTED}")]
pub struct InvalidWholeNumber;

pub(crate) const MAX: i64 = (1 << 53) - 1;
const EXPECTED: &str = "a whole number from 0 to 9007199254740991";

macro_rules! whole_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(i64);

        impl $name {
            /// The highest there is.
            pub const MAX: Self = Self($crate::value::whole_number::MAX);

            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $crate::InvalidWholeNumber;

            fn try_from(number: i64) -> Result<Self, $crate::InvalidWholeNumber> {
                $crate::value::whole_number::fitting(number).map(Self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_i64($crate::value::whole_number::Whole).map(Self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "integer",
                    "minimum": 0,
                    "maximum": $crate::value::whole_number::MAX,
                    "x-classification": "open",
                })
            }
        }
    };
}
pub(crate) use whole_number;

whole_number! {
    /// Access tokens of a user carry a version; those below the minimum are refused.
    TokenVersion
}

pub(crate) fn fitting(number: i64) -> Result<i64, InvalidWholeNumber> {
    if (0..=MAX).contains(&number) { Ok(number) } else { Err(InvalidWholeNumber) }
}

pub(crate) struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        fitting(number).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| InvalidWholeNumber).and_then(fitting).map_err(E::custom)
    }

    /// `2.0` is an integer to JSON Schema.
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() == 0.0 && number >= 0.0 && number <= MAX as f64 {
            Ok(number as i64)
        } else {
            Err(E::custom(InvalidWholeNumber))
        }
    }
}
