//! Which letters are meant. The same for every command, so that what was listed is what is acted on.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::DeadLetter;

/// Everything that is given has to hold; of a list, one entry. A filter with nothing in it means every letter.
///
/// Times are absolute, whatever somebody typed: the same filter is the same set an hour later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The beginning of a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// In the reason's name, its message or a cause, in upper or lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_contains: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ids: BTreeSet<String>,
    /// The event's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Died then or later.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Died before.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// No more than this many, those that died first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether it names anything, a limit aside.
    pub fn is_empty(&self) -> bool {
        *self == Self { limit: self.limit, ..Self::default() }
    }

    /// Whether a letter is meant, a limit aside. A letter that doesn't tell what is asked for is not.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: Option<bool>| wanted.unwrap_or(true);
        let one_of = |wanted: &BTreeSet<String>, held: Option<&str>| {
            wanted.is_empty() || held.is_some_and(|held| wanted.contains(held))
        };
        let reason = letter.reason();
        let died_at = letter.died_at();
        one_of(&self.types, letter.event_type())
            && one_of(&self.ids, Some(letter.id()))
            && is(self.version.map(|version| letter.version() == Some(version)))
            && is(self.user.as_ref().map(|user| letter.subject() == Some(user)))
            && is(self.group.as_ref().map(|group| reason.fingerprint.starts_with(group.as_str())))
            && is(self.since.map(|since| died_at.is_some_and(|at| at >= since)))
            && is(self.until.map(|until| died_at.is_some_and(|at| at < until)))
            && is(self.attempts.map(|wanted| reason.attempts.is_some_and(|attempts| wanted.holds(attempts))))
            && is(self.reason_contains.as_ref().map(|wanted| {
                let wanted = wanted.to_lowercase();
                let texts = [&reason.name, &reason.message].into_iter().chain(&reason.causes);
                texts.into_iter().any(|text| text.to_lowercase().contains(&wanted))
            }))
    }
}

/// How often an event was tried: `3`, `>3`, `>=3`, `<3`, `<=3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attempts {
    least: u32,
    most: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` should be a number of attempts, such as 3, >3, >=3, <3 or <=3")]
pub struct InvalidAttempts(String);

impl Attempts {
    fn holds(self, attempts: u32) -> bool {
        (self.least..=self.most).contains(&attempts)
    }
}

impl FromStr for Attempts {
    type Err = InvalidAttempts;

    fn from_str(text: &str) -> Result<Self, InvalidAttempts> {
        let digits = text.trim_start_matches(['<', '>', '=']);
        let sign = &text[..text.len() - digits.len()];
        let number: u32 = digits.trim().parse().map_err(|_| InvalidAttempts(text.to_owned()))?;
        let (least, most) = match sign {
            "" | "=" => (number, number),
            ">" if number < u32::MAX => (number + 1, u32::MAX),
            ">=" => (number, u32::MAX),
            "<" if number > 0 => (0, number - 1),
            "<=" => (0, number),
            _ => return Err(InvalidAttempts(text.to_owned())),
        };
        Ok(Self { least, most })
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, u32::MAX) => write!(f, ">={least}"),
            (_, most) => write!(f, "<={most}"),
        }
    }
}

impl TryFrom<String> for Attempts {
    type Error = InvalidAttempts;

    fn try_from(text: String) -> Result<Self, InvalidAttempts> {
        text.parse()
    }
}

impl From<Attempts> for String {
    fn from(attempts: Attempts) -> Self {
        attempts.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_compared_as_they_are_written() {
        for (text, holds, not) in [
            ("3", vec![3], vec![2, 4]),
            (">3", vec![4, u32::MAX], vec![3]),
            (">=3", vec![3, 4], vec![2]),
            ("<3", vec![0, 2], vec![3]),
            ("<=3", vec![0, 3], vec![4]),
        ] {
            let attempts: Attempts = text.parse().unwrap();
            assert!(holds.iter().all(|n| attempts.holds(*n)) && !not.iter().any(|n| attempts.holds(*n)), "{text}");
            let again: Attempts = attempts.to_string().parse().unwrap();
            assert_eq!(again, attempts, "{text}");
        }
        for text in ["", ">", "three", "<0", "><3", "-1", ">4294967295"] {
            assert!(text.parse::<Attempts>().is_err(), "{text}");
        }
    }
}
