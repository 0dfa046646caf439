//! The inbox key: what makes two deliveries the same event.
//!
//! An event whose id is a UUID v7 is its own key. Any other producer's id gets a key derived from the event's `time` and
//! a hash of `source` and `id`, shaped as a v7 too: deterministic, so copies collide, and carrying the time, so the key
//! lands in the week's partition of `event_logs`.

use std::fmt;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid, Variant};

/// A UUID v7 that is the same for every copy of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxKey(Uuid);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoInboxKey {
    #[error("`time` is missing, and without a UUID v7 as `id` the event has no key")]
    NoTime,
    #[error("`time` is before 1970 or after the year 10889, which no key can hold")]
    TimeOutOfRange,
}

/// Mints the id of a new event. `now` goes into the id, so ids of one producer sort by time.
pub fn event_id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

impl InboxKey {
    pub fn of(id: &str, source: &str, time: Option<OffsetDateTime>) -> Result<Self, NoInboxKey> {
        match Uuid::try_parse(id) {
            Ok(uuid) if is_v7(uuid) => Ok(Self(uuid)),
            _ => Self::derive(id, source, time.ok_or(NoInboxKey::NoTime)?),
        }
    }

    fn derive(id: &str, source: &str, time: OffsetDateTime) -> Result<Self, NoInboxKey> {
        let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000)
            .ok()
            .filter(|millis| *millis < 1 << 48)
            .ok_or(NoInboxKey::TimeOutOfRange)?;
        Ok(Self::hashed(id, source, millis))
    }

    /// Of the first 48 bits of `millis`.
    fn hashed(id: &str, source: &str, millis: u64) -> Self {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        let hash = Sha256::new()
            .chain_update((source.len() as u64).to_be_bytes())
            .chain_update(source)
            .chain_update(id)
            .finalize();
        let mut tail = [0; 10];
        tail.copy_from_slice(&hash[..10]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// That of an event which is minted now.
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self(event_id(now))
    }

    /// The key that is derived from a foreign id, with the time that this key carries.
    pub(crate) fn derived(self, id: &str, source: &str) -> Self {
        Self::hashed(id, source, self.millis())
    }

    fn millis(self) -> u64 {
        (self.0.as_u128() >> 80) as u64
    }

    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// The time that the key carries, in whole milliseconds.
    pub fn time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.millis()) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for InboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_v7(id: Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    proptest! {
        #[test]
        fn a_foreign_id_gets_one_key_that_carries_its_time(id in ".{1,40}", source in ".{1,40}", ms in 0i64..4_000_000_000_000) {
            let time = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(ms);
            let key = InboxKey::of(&id, &source, Some(time)).unwrap();
            prop_assert_eq!(key, InboxKey::of(&id, &source, Some(time)).unwrap());
            prop_assert!(is_v7(key.as_uuid()));
            prop_assert_eq!(key.time(), time);
        }

        #[test]
        fn different_events_have_different_keys(a in "[a-c]{1,3}", b in "[a-c]{1,3}", c in "[a-c]{1,3}", d in "[a-c]{1,3}") {
            let same = (&a, &b) == (&c, &d);
            prop_assert_eq!(InboxKey::of(&a, &b, Some(NOON)) == InboxKey::of(&c, &d, Some(NOON)), same);
        }
    }

    #[test]
    fn a_v7_id_is_its_own_key_in_any_spelling() {
        let id = event_id(NOON);
        assert_eq!(InboxKey::of(&id.to_string(), "a", None).unwrap().as_uuid(), id);
        assert_eq!(InboxKey::of(&id.to_string().to_uppercase(), "b", Some(NOON)).unwrap().as_uuid(), id);
        assert_eq!(InboxKey(id).time(), NOON);
    }

    #[test]
    fn no_time_no_key() {
        assert_eq!(InboxKey::of("order-17", "shop", None), Err(NoInboxKey::NoTime));
        let v4 = Uuid::new_v4().to_string();
        assert_eq!(InboxKey::of(&v4, "shop", None), Err(NoInboxKey::NoTime));
        let before = datetime!(1969-12-31 23:59:59 UTC);
        assert_eq!(InboxKey::of("order-17", "shop", Some(before)), Err(NoInboxKey::TimeOutOfRange));
    }
}
