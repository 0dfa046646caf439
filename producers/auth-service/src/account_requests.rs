//! What is asked of an address that may have an account: written down by the request, done afterwards.
//!
//! A request for a mail writes one row and is answered. Nothing is looked up for it, so neither the answer nor its time can
//! tell whether the address has an account. [`RequestWorker`] does what was asked for, in a transaction that takes the row
//! away as well.
//!
//! Invariant: a row is in hand at least once and in effect exactly once. Taking one in hand locks nothing for longer than it
//! takes to move its `not_before` on, so two workers may have the same row; the one that deletes it last finds it gone and
//! rolls back. The row is deleted at the end, after its account was locked, which is the order of everybody who withdraws it.

mod queue;
mod worker;

use std::sync::Arc;

use metrics::counter;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

pub use worker::{RequestRound, RequestWorker};

use crate::{EmailAddress, Failure, Origin, change::Store};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    PasswordReset,
    EmailVerification,
    /// The account that is to have the address.
    EmailChange(Uuid),
}

/// Writes requests down. Cheap to clone; clones share who is told of new ones.
#[derive(Clone)]
pub(crate) struct AccountRequests {
    store: Store,
    written: Arc<Notify>,
}

impl AccountRequests {
    pub fn new(store: Store) -> Self {
        Self { store, written: Arc::default() }
    }

    /// One row, by one statement, whatever the address is.
    pub async fn write_down(&self, asked: Asked, email: &EmailAddress, origin: &Origin) -> Result<(), Failure> {
        queue::insert(&self.store.pool, asked, email, origin, self.store.now()).await?;
        self.written.notify_one();
        Ok(())
    }
}

const PASSWORD_RESET: &str = "password-reset";
const EMAIL_VERIFICATION: &str = "email-verification";
const EMAIL_CHANGE: &str = "email-change";
const GIVEN_UP: &str = "given-up";
const KINDS: [&str; 3] = [PASSWORD_RESET, EMAIL_VERIFICATION, EMAIL_CHANGE];

impl Asked {
    const fn kind(self) -> &'static str {
        match self {
            Self::PasswordReset => PASSWORD_RESET,
            Self::EmailVerification => EMAIL_VERIFICATION,
            Self::EmailChange(_) => EMAIL_CHANGE,
        }
    }

    const fn account(self) -> Option<Uuid> {
        match self {
            Self::EmailChange(account) => Some(account),
            Self::PasswordReset | Self::EmailVerification => None,
        }
    }

    fn from_stored(kind: &str, account: Option<Uuid>) -> Option<Self> {
        match (kind, account) {
            (PASSWORD_RESET, None) => Some(Self::PasswordReset),
            (EMAIL_VERIFICATION, None) => Some(Self::EmailVerification),
            (EMAIL_CHANGE, Some(account)) => Some(Self::EmailChange(account)),
            _ => None,
        }
    }
}

/// Those that are given up are an alarm by their first one, as [`measure`](crate::measure) says of others.
pub(crate) fn begin_counting() {
    for kind in KINDS {
        counter!("account_requests_total", "kind" => kind, "outcome" => GIVEN_UP).increment(0);
    }
}

/// Changes of the account's address that were asked for and not done yet are not done any more. Its row has to be locked.
pub(crate) async fn withdraw_address_changes(connection: &mut PgConnection, account: Uuid) -> Result<(), Failure> {
    sqlx::query!("DELETE FROM account_requests WHERE account_id = $1", account).execute(connection).await?;
    Ok(())
}

/// As [`withdraw_address_changes`], of those that were asked for before one that is done now: the newest counts.
pub(crate) async fn withdraw_older_address_changes(
    connection: &mut PgConnection,
    account: Uuid,
    before: OffsetDateTime,
) -> Result<(), Failure> {
    sqlx::query!("DELETE FROM account_requests WHERE account_id = $1 AND requested_at < $2", account, before)
        .execute(connection)
        .await?;
    Ok(())
}

/// Everything that an account asked for, and that was asked of its address by who was not signed in.
pub(crate) async fn forget(connection: &mut PgConnection, account: Uuid, email: &EmailAddress) -> Result<(), Failure> {
    sqlx::query!(
        "DELETE FROM account_requests WHERE account_id = $1 OR account_id IS NULL AND email = $2",
        account,
        email.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}
