//! The handlers of all events that say something of a profile: what each reads, and which groups it says.

use std::marker::PhantomData;

use async_trait::async_trait;
use schemas::{
    DisplayName, Email, Newest, Sequence, UserCreatedV2, UserDeactivatedV1, UserEmailChangedV1, UserEmailVerifiedV1,
    UserPasswordChangedV1, UserReactivatedV1, UserRolesChangedV1, UserSessionsRevokedV1,
};
use sqlx::PgConnection;
use uuid::Uuid;
use worker::{ApplyEvents, HandlerError, Received, Verdict};

use crate::change::{Address, Change, Registration, Standing, Versioned, record};

/// Why an event without a `sequence` is rejected.
pub(crate) const UNVERSIONED: &str = "the event has no `sequence`, so its age can't be told";

/// An event that says something of a profile.
pub(crate) trait ChangesProfile: Newest {
    const HANDLER: &'static str;
    const READS: &'static [&'static str];

    fn user(&self) -> Uuid;

    fn change(&self, sequence: Sequence) -> Change<'_>;
}

/// Records what an event says of its user.
pub(crate) struct Record<E>(PhantomData<fn(E)>);

impl<E> Record<E> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

#[async_trait]
impl<E: ChangesProfile> ApplyEvents for Record<E> {
    type Event = E;

    const NAME: &'static str = E::HANDLER;
    const READS: &'static [&'static str] = E::READS;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, E>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let changes = events
            .iter()
            .filter_map(|Received { event, sequence, .. }| Some((event.user(), event.change((*sequence)?))));
        let updated = record(connection, changes).await?;
        let verdict = |received: &Received<'_, E>| match received.sequence {
            None => Verdict::Reject(UNVERSIONED.into()),
            Some(_) if updated.contains(&received.event.user()) => Verdict::Applied,
            Some(_) => Verdict::Stale,
        };
        Ok(events.iter().map(verdict).collect())
    }
}

/// Of the events that give an address as a whole, with whether it is verified.
fn address(email: &Email, verified: bool, sequence: Sequence) -> Versioned<Address<'_>> {
    Versioned { sequence, state: Address { email: email.as_str(), verified } }
}

impl ChangesProfile for UserCreatedV2 {
    const HANDLER: &'static str = "record_profile";
    const READS: &'static [&'static str] =
        &["/displayName", "/email", "/emailVerified", "/roles", "/status", "/timestamp", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        Change {
            address: Some(address(&self.email, self.email_verified, sequence)),
            roles: Some(Versioned { sequence, state: &self.roles }),
            standing: Some(Versioned { sequence, state: Standing { status: self.status, reason: None } }),
            min_token_version: None,
            registration: Some(Registration {
                at: self.timestamp,
                display_name: self.display_name.as_ref().map(DisplayName::as_str),
            }),
        }
    }
}

impl ChangesProfile for UserEmailVerifiedV1 {
    const HANDLER: &'static str = "record_verified_address";
    const READS: &'static [&'static str] = &["/email", "/emailVerified", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        Change { address: Some(address(&self.email, self.email_verified, sequence)), ..Change::default() }
    }
}

impl ChangesProfile for UserEmailChangedV1 {
    const HANDLER: &'static str = "record_changed_address";
    const READS: &'static [&'static str] = &["/email", "/emailVerified", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        Change { address: Some(address(&self.email, self.email_verified, sequence)), ..Change::default() }
    }
}

impl ChangesProfile for UserPasswordChangedV1 {
    const HANDLER: &'static str = "record_changed_password";
    const READS: &'static [&'static str] = &["/minTokenVersion", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, _: Sequence) -> Change<'_> {
        Change { min_token_version: Some(self.min_token_version), ..Change::default() }
    }
}

impl ChangesProfile for UserRolesChangedV1 {
    const HANDLER: &'static str = "record_roles";
    const READS: &'static [&'static str] = &["/minTokenVersion", "/roles", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        Change {
            roles: Some(Versioned { sequence, state: &self.roles }),
            min_token_version: Some(self.min_token_version),
            ..Change::default()
        }
    }
}

impl ChangesProfile for UserSessionsRevokedV1 {
    const HANDLER: &'static str = "record_revoked_sessions";
    const READS: &'static [&'static str] = &["/minTokenVersion", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, _: Sequence) -> Change<'_> {
        Change { min_token_version: Some(self.min_token_version), ..Change::default() }
    }
}

impl ChangesProfile for UserDeactivatedV1 {
    const HANDLER: &'static str = "record_deactivation";
    const READS: &'static [&'static str] = &["/minTokenVersion", "/reason", "/status", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        let state = Standing { status: self.status, reason: Some(self.reason.as_str()) };
        Change {
            standing: Some(Versioned { sequence, state }),
            min_token_version: Some(self.min_token_version),
            ..Change::default()
        }
    }
}

impl ChangesProfile for UserReactivatedV1 {
    const HANDLER: &'static str = "record_reactivation";
    const READS: &'static [&'static str] = &["/status", "/userId"];

    fn user(&self) -> Uuid {
        self.user_id
    }

    fn change(&self, sequence: Sequence) -> Change<'_> {
        let state = Standing { status: self.status, reason: None };
        Change { standing: Some(Versioned { sequence, state }), ..Change::default() }
    }
}
