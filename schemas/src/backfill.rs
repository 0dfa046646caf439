//! A backfill: events that tell what is so now, for a consumer that is new or was emptied.
//!
//! Each has the version that its subject has, so whoever has heard as much, or more, passes it over. Its id follows from the
//! run, and from what it says of whom as of which version: sent again by the same run it is a copy, and of another run it is
//! another event, which an inbox that remembers the first applies again.

use std::{fmt, str::FromStr};

use time::OffsetDateTime;

use crate::{Envelope, Event, Header, InboxKey, Sequence};

/// One run of a backfill, however often it is interrupted and gone on with. Its id says when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillRun(InboxKey);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a run's id is a UUID of version 7")]
pub struct InvalidBackfillRun;

impl BackfillRun {
    pub fn begin(now: OffsetDateTime) -> Self {
        Self(InboxKey::new(now))
    }

    /// In whole milliseconds.
    pub fn begun_at(self) -> OffsetDateTime {
        self.0.time()
    }

    /// What this run sends to say so of the event's subject, as of that version.
    ///
    /// Its time is when the run began, whenever it is sent: inboxes go by it, and copies must not differ.
    pub fn envelope<E: Event>(
        self,
        source: &'static str,
        sequence: Sequence,
        event: &E,
    ) -> Result<Envelope, serde_json::Error> {
        let id = self.0.derived(&format!("{self} {} {} {sequence}", E::TYPE, event.subject()), source);
        let header = Header { id: id.as_uuid(), source, time: self.begun_at(), sequence, traceparent: None };
        Envelope::new(event, header)
    }
}

impl fmt::Display for BackfillRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BackfillRun {
    type Err = InvalidBackfillRun;

    fn from_str(text: &str) -> Result<Self, InvalidBackfillRun> {
        // Without a time, no other id has a key.
        InboxKey::of(text, "", None).map(Self).map_err(|_| InvalidBackfillRun)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::{ServiceName, UserDeletedV1, UserSessionsRevokedV1};

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn deleted(user: u128) -> UserDeletedV1 {
        let (user_id, source) = (Uuid::from_u128(user), ServiceName::AUTH_SERVICE);
        UserDeletedV1 { user_id, timestamp: NOON, source, erasure_id: Uuid::from_u128(9) }
    }

    fn id_of<E: Event>(run: BackfillRun, source: &'static str, sequence: i64, event: &E) -> String {
        run.envelope(source, Sequence::from_stored(sequence), event).unwrap().id
    }

    #[test]
    fn what_is_sent_again_is_a_copy_and_what_differs_in_anything_is_none() {
        let (run, user) = (BackfillRun::begin(NOON), deleted(1));
        let gone_on_with: BackfillRun = run.to_string().parse().unwrap();
        let id = id_of(run, "auth-service", 7, &user);
        assert_eq!(id, id_of(gone_on_with, "auth-service", 7, &user));
        let revoked = UserSessionsRevokedV1 {
            user_id: user.user_id,
            email: "ada@example.com".to_owned().try_into().unwrap(),
            timestamp: NOON,
            source: ServiceName::AUTH_SERVICE,
            min_token_version: 3.try_into().unwrap(),
        };
        for other in [
            id_of(BackfillRun::begin(NOON), "auth-service", 7, &user),
            id_of(run, "user-service", 7, &user),
            id_of(run, "auth-service", 8, &user),
            id_of(run, "auth-service", 7, &deleted(2)),
            id_of(run, "auth-service", 7, &revoked),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn an_inbox_takes_an_event_for_as_old_as_its_run() {
        let run = BackfillRun::begin(NOON);
        let envelope = run.envelope("auth-service", Sequence::from_stored(7), &deleted(1)).unwrap();
        let (read, key) = Envelope::read(&serde_json::to_string(&envelope).unwrap()).unwrap();
        assert_eq!((key.to_string(), key.time(), read.time), (envelope.id, NOON, Some(NOON)));
        assert_eq!(run.begun_at(), NOON);
    }

    #[test]
    fn what_is_no_run_is_told() {
        for text in ["", "7", "0e1a0000-0000-4000-8000-000000000000"] {
            assert_eq!(text.parse::<BackfillRun>(), Err(InvalidBackfillRun), "{text}");
        }
    }
}
