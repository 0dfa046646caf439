//! What events say of a profile, and the one statement that tells it to the database.
//!
//! A profile is made of groups of columns, and each group is a register of its own that keeps the newest version it has
//! seen. The rule is applied twice: here among the events of a batch, and by the statement against what the row says. So
//! it doesn't matter which events come together, or in which order, or which of them makes the row.

use std::collections::{BTreeMap, HashSet};

use schemas::{AccountStatus, Role, Roles, Sequence, TokenVersion};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What was said of one user; a group that nothing was said of is left as it is.
#[derive(Debug, Default)]
pub(crate) struct Change<'a> {
    pub address: Option<Versioned<Address<'a>>>,
    pub roles: Option<Versioned<&'a Roles>>,
    pub standing: Option<Versioned<Standing<'a>>>,
    /// It only ever rises, so it needs no version.
    pub min_token_version: Option<TokenVersion>,
    pub registration: Option<Registration<'a>>,
}

/// The whole state of a group, as it was at a version of its user.
#[derive(Debug)]
pub(crate) struct Versioned<T> {
    pub sequence: Sequence,
    pub state: T,
}

#[derive(Debug)]
pub(crate) struct Address<'a> {
    pub email: &'a str,
    pub verified: bool,
}

#[derive(Debug)]
pub(crate) struct Standing<'a> {
    pub status: AccountStatus,
    pub reason: Option<&'a str>,
}

/// The earliest one that was seen is the one that counts.
#[derive(Debug)]
pub(crate) struct Registration<'a> {
    pub at: OffsetDateTime,
    pub display_name: Option<&'a str>,
}

impl Change<'_> {
    fn merge(&mut self, other: Self) {
        keep_newer(&mut self.address, other.address);
        keep_newer(&mut self.roles, other.roles);
        keep_newer(&mut self.standing, other.standing);
        self.min_token_version = self.min_token_version.max(other.min_token_version);
        let is_earlier = |one: &Registration<'_>| self.registration.as_ref().is_none_or(|own| one.at < own.at);
        if let Some(earlier) = other.registration.filter(is_earlier) {
            self.registration = Some(earlier);
        }
    }
}

fn keep_newer<T>(own: &mut Option<Versioned<T>>, other: Option<Versioned<T>>) {
    let is_newer = |one: &Versioned<T>| own.as_ref().is_none_or(|own| one.sequence > own.sequence);
    if let Some(newer) = other.filter(is_newer) {
        *own = Some(newer);
    }
}

/// The sequence of a group that nothing was said of: no event has one as low.
fn sequence_of<T>(group: Option<&Versioned<T>>) -> i64 {
    group.map_or(0, |group| group.sequence.get())
}

/// Changes profiles, and makes those that aren't there. Answers whose rows changed: an erased one's never does.
pub(crate) async fn record<'a>(
    connection: &mut PgConnection,
    changes: impl Iterator<Item = (Uuid, Change<'a>)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let mut merged: BTreeMap<Uuid, Change<'_>> = BTreeMap::new();
    for (user, change) in changes {
        merged.entry(user).or_default().merge(change);
    }
    if merged.is_empty() {
        return Ok(HashSet::new());
    }
    let users: Vec<_> = merged.keys().copied().collect();
    let all = || merged.values();
    let addresses = || all().map(|change| change.address.as_ref());
    let emails: Vec<_> = addresses().map(|group| group.map(|group| group.state.email)).collect();
    let verified: Vec<_> = addresses().map(|group| group.map(|group| group.state.verified)).collect();
    let email_sequences: Vec<_> = addresses().map(sequence_of).collect();
    let roles: Vec<_> = all().map(|change| change.roles.as_ref().map(|group| joined(group.state))).collect();
    let roles_sequences: Vec<_> = all().map(|change| sequence_of(change.roles.as_ref())).collect();
    let standings = || all().map(|change| change.standing.as_ref());
    let statuses: Vec<_> = standings().map(|group| group.map(|group| group.state.status.as_str())).collect();
    let reasons: Vec<_> = standings().map(|group| group.and_then(|group| group.state.reason)).collect();
    let status_sequences: Vec<_> = standings().map(sequence_of).collect();
    let token_versions: Vec<_> = all().map(|change| change.min_token_version.map(TokenVersion::get)).collect();
    let registrations = || all().map(|change| change.registration.as_ref());
    let registered: Vec<_> = registrations().map(|registration| registration.map(|one| one.at)).collect();
    let names: Vec<_> = registrations().map(|registration| registration.and_then(|one| one.display_name)).collect();

    // Rows are locked in the order of their ids. An erased user stays erased.
    let users = sqlx::query_scalar!(
        r#"WITH changed AS (
             INSERT INTO user_profiles AS profile
                    (user_id, email, email_verified, email_sequence, roles, roles_sequence, status, deactivation_reason,
                     status_sequence, min_token_version, registered_at, display_name)
             SELECT user_id, email, email_verified, email_sequence, string_to_array(roles, ' '), roles_sequence,
                    coalesce(status, 'active'), deactivation_reason, status_sequence,
                    greatest(min_token_version, 1), registered_at, display_name
               FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::int8[], $5::text[], $6::int8[], $7::text[],
                           $8::text[], $9::int8[], $10::int8[], $11::timestamptz[], $12::text[])
                    AS change (user_id, email, email_verified, email_sequence, roles, roles_sequence, status,
                               deactivation_reason, status_sequence, min_token_version, registered_at, display_name)
              ORDER BY user_id
                 ON CONFLICT (user_id) DO UPDATE
                SET email = CASE WHEN excluded.email_sequence > profile.email_sequence
                                 THEN excluded.email ELSE profile.email END,
                    email_verified = CASE WHEN excluded.email_sequence > profile.email_sequence
                                          THEN excluded.email_verified ELSE profile.email_verified END,
                    email_sequence = greatest(profile.email_sequence, excluded.email_sequence),
                    roles = CASE WHEN excluded.roles_sequence > profile.roles_sequence
                                 THEN excluded.roles ELSE profile.roles END,
                    roles_sequence = greatest(profile.roles_sequence, excluded.roles_sequence),
                    status = CASE WHEN excluded.status_sequence > profile.status_sequence
                                  THEN excluded.status ELSE profile.status END,
                    deactivation_reason = CASE WHEN excluded.status_sequence > profile.status_sequence
                                               THEN excluded.deactivation_reason ELSE profile.deactivation_reason END,
                    status_sequence = greatest(profile.status_sequence, excluded.status_sequence),
                    min_token_version = greatest(profile.min_token_version, excluded.min_token_version),
                    display_name = CASE WHEN excluded.registered_at < coalesce(profile.registered_at, 'infinity')
                                             AND NOT profile.display_name_edited
                                        THEN excluded.display_name ELSE profile.display_name END,
                    registered_at = least(profile.registered_at, excluded.registered_at),
                    updated_at = now()
              WHERE profile.status <> 'deleted'
                AND (excluded.email_sequence > profile.email_sequence
                     OR excluded.roles_sequence > profile.roles_sequence
                     OR excluded.status_sequence > profile.status_sequence
                     OR excluded.min_token_version > profile.min_token_version
                     OR excluded.registered_at < coalesce(profile.registered_at, 'infinity'))
          RETURNING user_id
         )
         SELECT coalesce(array_agg(user_id), '{}') AS "users!" FROM changed"#,
        &users,
        &emails as &[Option<&str>],
        &verified as &[Option<bool>],
        &email_sequences,
        &roles as &[Option<String>],
        &roles_sequences,
        &statuses as &[Option<&str>],
        &reasons as &[Option<&str>],
        &status_sequences,
        &token_versions as &[Option<i64>],
        &registered as &[Option<OffsetDateTime>],
        &names as &[Option<&str>],
    )
    .fetch_one(connection)
    .await?;
    Ok(users.into_iter().collect())
}

/// As one text, since PostgreSQL has no arrays of arrays that differ in length. A role's name has no blank.
fn joined(roles: &Roles) -> String {
    roles.iter().map(Role::as_str).collect::<Vec<_>>().join(" ")
}
