//! How often a password may be wrong, and how often an address may be written to: counted by the address's pseudonym, so
//! that an address without an account is counted like any other, and in the database, so that all instances count
//! together.
//!
//! Ten wrong passwords in a row lock an address for a minute, each further one for twice as long, up to a quarter of an
//! hour; after a hundred only a reset of the password helps (NIST SP 800-63B-4, 3.2.2). A success, or twelve hours without
//! an attempt, starts anew. Invariant: an attempt is counted, and committed, before its password is looked at. So however many
//! are made at the same moment, no more are looked at than the count allows. To make sure of it, the statement that counts is the one
//! that reads what the password is compared with.

use secrecy::SecretString;
use service::postgres::Pool;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{EmailAddress, Failure, pseudonym::Pseudonym};

/// Somebody tries to prove a password of an address.
pub(crate) struct Attempt {
    pub outcome: Counting,
    /// The account that has the address.
    pub account: Option<Credentials>,
}

/// Whether the password of an attempt may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    Counted,
    Locked,
}

/// As an account's row is when an attempt is counted.
pub(crate) struct Credentials {
    pub id: Uuid,
    pub password_hash: SecretString,
    pub is_active: bool,
    pub is_verified: bool,
}

impl Attempt {
    /// What the password is compared with. A locked account's own hash is not, so that nothing depends on what it would say.
    pub fn stored(&self) -> Option<&SecretString> {
        let account = self.account.as_ref().filter(|_| self.outcome == Counting::Counted);
        account.map(|account| &account.password_hash)
    }
}

const FREE_ATTEMPTS: i32 = 10;
const MOST_ATTEMPTS: i32 = 100;
const FIRST_LOCK: Duration = Duration::minutes(1);
const LONGEST_LOCK: Duration = Duration::minutes(15);
const FORGET_AFTER: Duration = Duration::hours(12);

/// Counts an attempt to prove the password of an address, and reads what it is compared with. Commits.
pub(crate) async fn count_attempt(
    pool: &Pool,
    email: &EmailAddress,
    pseudonym: Pseudonym,
    now: OffsetDateTime,
) -> Result<Attempt, Failure> {
    // The row that was found is locked before it is looked at, so concurrent attempts are counted one after the other. The
    // attempt that reaches the limit is itself looked at; those after it find the lock.
    let row = sqlx::query!(
        r#"WITH counted AS (
               INSERT INTO rate_limits AS l (key, count, last_at) VALUES ($1, 1, $2)
               ON CONFLICT (key) DO UPDATE
                 SET count = CASE WHEN l.last_at < $3 AND coalesce(l.locked_until <> 'infinity', true) THEN 1 ELSE l.count + 1 END,
                     last_at = $2,
                     locked_until = CASE
                         WHEN l.last_at < $3 AND coalesce(l.locked_until <> 'infinity', true) THEN NULL
                         WHEN l.count + 1 >= $5 THEN 'infinity'
                         WHEN l.count + 1 >= $4
                         THEN $2 + least($6::float8 * power(2, l.count + 1 - $4), $7::float8) * interval '1 second'
                     END
               WHERE l.locked_until IS NULL OR l.locked_until <= $2
               RETURNING count)
           SELECT EXISTS (SELECT FROM counted) AS "is_counted!", u.id AS "id?", u.password_hash AS "password_hash?",
                  u.status = 'active' AS "is_active?", u.email_verified_at IS NOT NULL AS "is_verified!"
             FROM (VALUES (1)) AS always LEFT JOIN users AS u ON u.email = $8"#,
        login_key(pseudonym),
        now,
        now - FORGET_AFTER,
        FREE_ATTEMPTS,
        MOST_ATTEMPTS,
        FIRST_LOCK.as_seconds_f64(),
        LONGEST_LOCK.as_seconds_f64(),
        email.as_str(),
    )
    .fetch_one(pool)
    .await?;
    let account = match (row.id, row.password_hash, row.is_active) {
        (Some(id), Some(hash), Some(is_active)) => {
            Some(Credentials { id, password_hash: SecretString::from(hash), is_active, is_verified: row.is_verified })
        }
        _ => None,
    };
    let outcome = if row.is_counted { Counting::Counted } else { Counting::Locked };
    Ok(Attempt { outcome, account })
}

/// The password was right, or is a new one: nothing is held against the address any more.
pub(crate) async fn forgive(connection: &mut PgConnection, email: Pseudonym) -> Result<(), Failure> {
    sqlx::query!("DELETE FROM rate_limits WHERE key = $1", login_key(email)).execute(connection).await?;
    Ok(())
}

/// Everything that is counted for an address.
pub(crate) async fn forget(connection: &mut PgConnection, email: Pseudonym) -> Result<(), Failure> {
    let suffix = email.to_string();
    sqlx::query!("DELETE FROM rate_limits WHERE key = ANY($1)", &ALL_KINDS.map(|kind| format!("{kind}:{suffix}")))
        .execute(connection)
        .await?;
    Ok(())
}

/// What an address is written for, beside what its owner asks for when signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    /// It was registered again. At most one in an hour.
    RegistrationRepeated,
    /// At most one in a minute.
    EmailVerification,
    /// At most one in a minute.
    PasswordReset,
}

impl Letter {
    const fn key(self) -> &'static str {
        match self {
            Self::RegistrationRepeated => "registration-repeated",
            Self::EmailVerification => "email-verification",
            Self::PasswordReset => "password-reset",
        }
    }

    pub const fn spacing(self) -> Duration {
        match self {
            Self::RegistrationRepeated => Duration::hours(1),
            Self::EmailVerification | Self::PasswordReset => Duration::minutes(1),
        }
    }
}

const LOGIN: &str = "login";
const ALL_KINDS: [&str; 4] =
    [LOGIN, Letter::RegistrationRepeated.key(), Letter::EmailVerification.key(), Letter::PasswordReset.key()];

/// Whether the address may be written to now; if so, it was counted.
pub(crate) async fn may_write(
    connection: &mut PgConnection,
    letter: Letter,
    email: Pseudonym,
    now: OffsetDateTime,
) -> Result<bool, Failure> {
    let counted = sqlx::query_scalar!(
        "INSERT INTO rate_limits AS l (key, count, last_at) VALUES ($1, 1, $2)
         ON CONFLICT (key) DO UPDATE SET count = l.count + 1, last_at = $2 WHERE l.last_at <= $3
         RETURNING count",
        letter_key(letter, email),
        now,
        now - letter.spacing(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(counted.is_some())
}

/// As which letters that one is counted by which an address is written to because it was registered: as a verification, and
/// as a registration that would be repeated.
pub(crate) fn first_letter_keys(email: Pseudonym) -> [String; 2] {
    [Letter::EmailVerification, Letter::RegistrationRepeated].map(|letter| letter_key(letter, email))
}

pub(crate) fn letter_key(letter: Letter, email: Pseudonym) -> String {
    format!("{}:{email}", letter.key())
}

pub(crate) fn login_key(email: Pseudonym) -> String {
    format!("{LOGIN}:{email}")
}
