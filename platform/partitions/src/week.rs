//! A week: Monday 00:00 UTC up to, but not including, the next one.

use std::fmt;

use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::smallest_key;

/// Weeks since the one that starts on Monday 1970-01-05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(i64);

const FIRST_MONDAY: OffsetDateTime = datetime!(1970-01-05 00:00 UTC);
const SECONDS: i64 = 7 * 24 * 60 * 60;

impl Week {
    pub fn of(at: OffsetDateTime) -> Self {
        Self((at - FIRST_MONDAY).whole_seconds().div_euclid(SECONDS))
    }

    pub fn start(self) -> OffsetDateTime {
        FIRST_MONDAY + Duration::seconds(self.0 * SECONDS)
    }

    #[must_use]
    pub fn plus(self, weeks: i64) -> Self {
        Self(self.0 + weeks)
    }

    pub(crate) fn range(first: Self, last: Self) -> impl Iterator<Item = Self> {
        (first.0..=last.0).map(Self)
    }

    /// The smallest UUID v7 of the week.
    pub(crate) fn lower_bound(self) -> Uuid {
        smallest_key(self.start())
    }

    pub(crate) fn from_lower_bound(bound: Uuid) -> Option<Self> {
        let millis = i128::try_from(bound.as_u128() >> 80).ok()?;
        let week = Self::of(OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).ok()?);
        (week.lower_bound() == bound).then_some(week)
    }

    pub(crate) fn partition_of(self, table: &str) -> String {
        format!("{table}_{self}")
    }
}

impl fmt::Display for Week {
    /// The Monday, as in the partition's name: `20261116`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let monday = self.start();
        write!(f, "{:04}{:02}{:02}", monday.year(), u8::from(monday.month()), monday.day())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_week_starts_on_monday() {
        let sunday = datetime!(2026-11-22 23:59:59.999 UTC);
        assert_eq!(Week::of(sunday).to_string(), "20261116");
        assert_eq!(Week::of(sunday + Duration::milliseconds(1)).to_string(), "20261123");
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_week(seconds in 400_000i64..8_000_000_000) {
            let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let week = Week::of(at);
            prop_assert!(week.start() <= at && at < week.plus(1).start());
            prop_assert!(week.lower_bound() <= smallest_key(at) && smallest_key(at) < week.plus(1).lower_bound());
            prop_assert_eq!(Week::from_lower_bound(week.lower_bound()), Some(week));
        }
    }
}
