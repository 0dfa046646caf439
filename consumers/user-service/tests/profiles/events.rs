//! Events of auth-service about a few users, each with the version that it is asked to have.

use schemas::{
    AccountStatus, DeactivationReason, Email, Envelope, Event, Header, Role, Roles, Sequence, ServiceName,
    TokenVersion, UserCreatedV2, UserDeactivatedV1, UserDeletedV1, UserEmailChangedV1, UserEmailVerifiedV1,
    UserPasswordChangedV1, UserReactivatedV1, UserRolesChangedV1, UserSessionsRevokedV1, event_id,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

/// The moment that it is in all these tests.
pub const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// Everything that auth-service says of a profile, but for its erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Created,
    EmailVerified,
    EmailChanged,
    PasswordChanged,
    RolesChanged,
    SessionsRevoked,
    Deactivated,
    Reactivated,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::EmailVerified,
        Self::EmailChanged,
        Self::PasswordChanged,
        Self::RolesChanged,
        Self::SessionsRevoked,
        Self::Deactivated,
        Self::Reactivated,
    ];
}

pub fn user(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn email(user: u128, version: i64) -> String {
    format!("user{user}-v{version}@example.com")
}

pub fn registered_at(version: i64) -> OffsetDateTime {
    NOON + Duration::seconds(version)
}

/// One role more with each version, of which letters alone can tell.
fn roles(version: i64) -> Vec<String> {
    vec!["user".to_owned(), format!("role_{}", "x".repeat(usize::try_from(version).unwrap() % 50 + 1))]
}

/// An event whose payload tells of its user and its version, in every field that is read.
pub fn event(kind: Kind, number: u128, version: i64) -> Envelope {
    let (user_id, timestamp, source) = (user(number), registered_at(version), ServiceName::AUTH_SERVICE);
    let email: Email = email(number, version).try_into().unwrap();
    let min_token_version: TokenVersion = version.try_into().unwrap();
    let email_verified = version % 2 == 0;
    let roles = || Roles::try_from(roles(version).iter().map(|role| role.parse().unwrap()).collect::<Vec<Role>>());
    match kind {
        Kind::Created => {
            let display_name = Some(format!("User {number} of {version}").parse().unwrap());
            let (roles, status) = (roles().unwrap(), AccountStatus::Active);
            let event =
                UserCreatedV2 { user_id, email, timestamp, source, display_name, email_verified, roles, status };
            envelope(version, &event)
        }
        Kind::EmailVerified => {
            envelope(version, &UserEmailVerifiedV1 { user_id, email, timestamp, source, email_verified })
        }
        Kind::EmailChanged => {
            let previous_email = "before@example.com".to_owned().try_into().unwrap();
            let event = UserEmailChangedV1 { user_id, email, timestamp, source, email_verified, previous_email };
            envelope(version, &event)
        }
        Kind::PasswordChanged => {
            envelope(version, &UserPasswordChangedV1 { user_id, email, timestamp, source, min_token_version })
        }
        Kind::RolesChanged => {
            let roles = roles().unwrap();
            envelope(version, &UserRolesChangedV1 { user_id, email, timestamp, source, roles, min_token_version })
        }
        Kind::SessionsRevoked => {
            envelope(version, &UserSessionsRevokedV1 { user_id, email, timestamp, source, min_token_version })
        }
        Kind::Deactivated => {
            let (status, reason) = (AccountStatus::Deactivated, DeactivationReason::AdminDecision);
            let event = UserDeactivatedV1 { user_id, email, timestamp, source, status, reason, min_token_version };
            envelope(version, &event)
        }
        Kind::Reactivated => {
            let status = AccountStatus::Active;
            envelope(version, &UserReactivatedV1 { user_id, email, timestamp, source, status })
        }
    }
}

pub fn deleted(number: u128, erasure_id: Uuid, version: i64) -> Envelope {
    let (user_id, source) = (user(number), ServiceName::AUTH_SERVICE);
    envelope(version, &UserDeletedV1 { user_id, timestamp: NOON, source, erasure_id })
}

pub fn envelope<E: Event>(version: i64, event: &E) -> Envelope {
    envelope_from("auth-service", version, event)
}

pub fn envelope_from<E: Event>(source: &'static str, version: i64, event: &E) -> Envelope {
    let sequence = Sequence::from_stored(version);
    let header = Header { id: event_id(NOON), source, time: NOON, sequence, traceparent: None };
    Envelope::new(event, header).unwrap()
}

/// In an order of their own for each seed.
pub fn shuffled(events: &[Envelope], seed: u64) -> Vec<Envelope> {
    let place = |(at, event): (usize, &Envelope)| {
        let id: Uuid = event.id.parse().unwrap();
        (id.as_u128() as u64 ^ at as u64).wrapping_mul(seed | 1).rotate_left(17).wrapping_mul(seed | 1)
    };
    let mut placed: Vec<_> = events.iter().enumerate().map(place).zip(events).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, event)| event.clone()).collect()
}

/// The row of somebody of whom nothing was said but that they are there.
pub fn empty_row(number: u128) -> Value {
    json!({
        "user_id": user(number), "status": "active", "status_sequence": 0, "deactivation_reason": null,
        "email": null, "email_verified": null, "email_sequence": 0, "roles": null, "roles_sequence": 0,
        "min_token_version": 1, "registered_at": null, "display_name": null, "display_name_edited": false,
        "edit_version": 0, "sequence": 0,
    })
}

/// What the row says once the event was applied to it after all that are older: the plain meaning of each event.
pub fn follow(row: &mut Value, kind: Kind, number: u128, version: i64) {
    let address = |row: &mut Value| {
        row["email"] = email(number, version).into();
        row["email_verified"] = (version % 2 == 0).into();
        row["email_sequence"] = version.into();
    };
    let roles = |row: &mut Value| {
        let mut all = roles(version);
        all.sort();
        row["roles"] = all.into();
        row["roles_sequence"] = version.into();
    };
    let standing = |row: &mut Value, status: &str, reason: Option<&str>| {
        row["status"] = status.into();
        row["deactivation_reason"] = reason.into();
        row["status_sequence"] = version.into();
    };
    match kind {
        Kind::Created => {
            address(row);
            roles(row);
            standing(row, "active", None);
            if row["registered_at"].is_null() {
                row["registered_at"] = at(registered_at(version));
                row["display_name"] = format!("User {number} of {version}").into();
            }
        }
        Kind::EmailVerified | Kind::EmailChanged => address(row),
        Kind::RolesChanged => roles(row),
        Kind::Deactivated => standing(row, "deactivated", Some("admin-decision")),
        Kind::Reactivated => standing(row, "active", None),
        Kind::PasswordChanged | Kind::SessionsRevoked => {}
    }
    if matches!(kind, Kind::PasswordChanged | Kind::RolesChanged | Kind::SessionsRevoked | Kind::Deactivated) {
        row["min_token_version"] = version.into();
    }
}

/// As PostgreSQL writes a time of whole seconds into JSON.
fn at(time: OffsetDateTime) -> Value {
    let (date, clock) = (time.date(), time.time());
    let (hour, minute, second) = clock.as_hms();
    format!("{date}T{hour:02}:{minute:02}:{second:02}+00:00").into()
}
