use service::access_token::{KeySet, LEEWAY, SigningKey};
use time::{Duration, OffsetDateTime};

use super::source::{DatedKey, KeysError};

/// How long an access token is good for.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::minutes(10);

/// How long whoever checks tokens may keep the published set.
pub const SET_MAX_AGE: Duration = Duration::minutes(10);

/// From a key's making to its first signature: twice the time that a set may be kept, so that a set that was fetched as
/// late as may be, and another try after that, have it.
pub const PUBLISHED_AHEAD: Duration = Duration::minutes(20);

/// From its last signature to its leaving the set.
const PUBLISHED_AFTER: Duration =
    Duration::seconds(ACCESS_TOKEN_LIFE.whole_seconds() + LEEWAY.whole_seconds() + SET_MAX_AGE.whole_seconds());

/// What a key does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and not signing yet.
    Next,
    Active,
    /// Published for the tokens that it signed.
    Retired,
    /// Not needed any more: its file may go.
    Expired,
}

impl KeyState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Expired => "expired",
        }
    }
}

/// What keys that were made at these times, oldest first, do now.
///
/// The newest that has been published for long enough signs; where none has, the oldest does, since somebody has to.
pub fn dated_states(made: &[OffsetDateTime], now: OffsetDateTime) -> Vec<KeyState> {
    let signs_from = |made: OffsetDateTime| made + PUBLISHED_AHEAD;
    let active = made.iter().rposition(|made| signs_from(*made) <= now).unwrap_or(0);
    let state = |at: usize| match at.cmp(&active) {
        std::cmp::Ordering::Greater => KeyState::Next,
        std::cmp::Ordering::Equal => KeyState::Active,
        std::cmp::Ordering::Less if now < signs_from(made[at + 1]) + PUBLISHED_AFTER => KeyState::Retired,
        std::cmp::Ordering::Less => KeyState::Expired,
    };
    (0..made.len()).map(state).collect()
}

/// At least one key, oldest first.
#[derive(Debug)]
pub(super) struct Ring(Vec<DatedKey>);

impl Ring {
    pub fn of(keys: Vec<DatedKey>) -> Result<Self, KeysError> {
        if keys.is_empty() { Err(KeysError::None) } else { Ok(Self(keys)) }
    }

    pub fn active(&self, now: OffsetDateTime) -> &SigningKey {
        let states = self.states(now);
        let active = states.iter().position(|state| *state == KeyState::Active).unwrap_or(0);
        &self.0[active].key
    }

    pub fn published(&self, now: OffsetDateTime) -> KeySet {
        let states = self.states(now);
        let kept = self.0.iter().zip(states).filter(|(_, state)| *state != KeyState::Expired);
        KeySet::of(kept.map(|(key, _)| key.key.public()))
    }

    pub fn newest(&self) -> OffsetDateTime {
        self.0.last().map_or(OffsetDateTime::UNIX_EPOCH, |key| key.made_at)
    }

    fn states(&self, now: OffsetDateTime) -> Vec<KeyState> {
        dated_states(&self.0.iter().map(|key| key.made_at).collect::<Vec<_>>(), now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);

    #[test]
    fn a_key_is_published_then_signs_then_stays_for_its_tokens_and_then_goes() {
        use KeyState::{Active, Expired, Next, Retired};
        let made = [NOON - Duration::days(30), NOON];
        for (minutes, want) in [
            (0, [Active, Next]),
            (19, [Active, Next]),
            (20, [Retired, Active]),
            // Its last token was made at minute 20, ends at 30, is taken until 30:30; a set of then is kept until 40:30.
            (40, [Retired, Active]),
            (41, [Expired, Active]),
        ] {
            assert_eq!(dated_states(&made, NOON + Duration::minutes(minutes)), want, "{minutes}");
        }
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(dated_states(&[NOON], NOON), [KeyState::Active]);
        // Also where the clock of who made it is ahead.
        assert_eq!(dated_states(&[NOON + Duration::hours(1)], NOON), [KeyState::Active]);
    }

    proptest! {
        /// Whatever keys there are and whenever one looks: a token's key is published as long as the token is taken, and was
        /// published when the set was fetched that its reader may still have.
        #[test]
        fn whoever_checks_a_token_has_its_key(ages in prop::collection::btree_set(0i64..200, 1..6), signed in 0i64..300, later in 0i64..10) {
            let made: Vec<_> = ages.into_iter().map(|minutes| NOON + Duration::minutes(minutes)).collect();
            let at = NOON + Duration::minutes(signed);
            let known = made.iter().filter(|made| **made <= at).count();
            prop_assume!(known > 0);
            let key = dated_states(&made[..known], at).iter().position(|state| *state == KeyState::Active).unwrap();
            // Checked later, with a set that was fetched up to its greatest age before.
            for age in 0..=SET_MAX_AGE.whole_minutes() {
                let fetched = at + Duration::minutes(later - age);
                let then = made.iter().filter(|made| **made <= fetched).count();
                // The very first key signs before anybody can have it; who checks asks again for a key they don't know.
                if then == 0 || (key == 0 && fetched < made[0] + PUBLISHED_AHEAD) {
                    continue;
                }
                let states = dated_states(&made[..then], fetched);
                prop_assert!(key < states.len() && states[key] != KeyState::Expired, "{:?} {} {}", states, key, age);
            }
        }
    }
}
