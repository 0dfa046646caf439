use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
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
pub(super) struct Ring {
    keys: Vec<DatedKey>,
    /// As somebody last asked for it, since it is asked for far more often than it changes.
    published: ArcSwapOption<Published>,
}

/// The set of keys from one change of it to the next.
#[derive(Debug)]
pub struct Published {
    pub set: KeySet,
    /// The set as a JSON Web Key Set (RFC 7517).
    pub document: Bytes,
    /// Where something came before.
    from: Option<OffsetDateTime>,
    /// Where something comes after.
    until: Option<OffsetDateTime>,
}

impl Published {
    fn is_of(&self, now: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

impl Ring {
    pub fn of(keys: Vec<DatedKey>) -> Result<Self, KeysError> {
        if keys.is_empty() { Err(KeysError::None) } else { Ok(Self { keys, published: ArcSwapOption::empty() }) }
    }

    pub fn active(&self, now: OffsetDateTime) -> &SigningKey {
        let states = self.states(now);
        let active = states.iter().position(|state| *state == KeyState::Active).unwrap_or(0);
        &self.keys[active].key
    }

    pub fn published(&self, now: OffsetDateTime) -> Arc<Published> {
        if let Some(last) = self.published.load_full().filter(|last| last.is_of(now)) {
            return last;
        }
        let published = Arc::new(self.publish(now));
        self.published.store(Some(Arc::clone(&published)));
        published
    }

    fn publish(&self, now: OffsetDateTime) -> Published {
        let states = self.states(now);
        let kept = self.keys.iter().zip(states).filter(|(_, state)| *state != KeyState::Expired);
        let set = KeySet::of(kept.map(|(key, _)| key.key.public()));
        let signs_from: Vec<_> = self.keys.iter().map(|key| key.made_at + PUBLISHED_AHEAD).collect();
        // Each key goes some time after its successor began to sign.
        let gone_from = signs_from.iter().skip(1).map(|successor| *successor + PUBLISHED_AFTER);
        let changes: Vec<_> = signs_from.iter().copied().chain(gone_from).collect();
        Published {
            document: set.to_document(),
            set,
            from: changes.iter().copied().filter(|change| *change <= now).max(),
            until: changes.iter().copied().filter(|change| *change > now).min(),
        }
    }

    pub fn newest(&self) -> OffsetDateTime {
        self.keys.last().map_or(OffsetDateTime::UNIX_EPOCH, |key| key.made_at)
    }

    fn states(&self, now: OffsetDateTime) -> Vec<KeyState> {
        dated_states(&self.keys.iter().map(|key| key.made_at).collect::<Vec<_>>(), now)
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

    fn ring(made: &[OffsetDateTime]) -> Ring {
        let dated = |made_at: &OffsetDateTime| DatedKey { made_at: *made_at, key: SigningKey::generate().unwrap().0 };
        Ring::of(made.iter().map(dated).collect()).unwrap()
    }

    proptest! {
        /// In whatever order one looks, clocks that go back included: what is kept is what would be made.
        #[test]
        fn what_is_published_is_what_the_states_say(
            ages in prop::collection::btree_set(0i64..200, 1..5),
            looks in prop::collection::vec(-10i64..300, 1..50),
        ) {
            let made: Vec<_> = ages.into_iter().map(|minutes| NOON + Duration::minutes(minutes)).collect();
            let ring = ring(&made);
            for seconds in looks.into_iter().flat_map(|minutes| [minutes * 60 - 1, minutes * 60, minutes * 60 + 30]) {
                let now = NOON + Duration::seconds(seconds);
                let states = dated_states(&made, now);
                let wanted = ring.keys.iter().zip(states).filter(|(_, state)| *state != KeyState::Expired);
                let wanted = KeySet::of(wanted.map(|(key, _)| key.key.public()));
                let published = ring.published(now);
                prop_assert_eq!(published.set.to_jwk_set(), wanted.to_jwk_set());
                prop_assert_eq!(&published.document, &wanted.to_document());
            }
        }

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
