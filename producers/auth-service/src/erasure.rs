//! Deleting an account for good, and the ledger of who has followed.
//!
//! In one transaction, everything that tells of a person leaves `auth_db`: the account's row keeps its id, its status and its
//! sequence; tokens, sessions, roles, counters and what was asked for go; the audit trail keeps what was done and forgets from where; the outbox
//! forgets what it still holds, and lets what was not published yet go, because the event that is written last says all
//! that matters. The address is free again.
//!
//! Other services are told by `user.deleted`, which names nobody, and answer with `user.erasure.completed`. Until all have,
//! the ledger's entry is open: they are told again each day, and a metric says how old the oldest is.

mod close;
mod ledger;

use schemas::{Role, Sequence, ServiceName, UserDeletedV1};
use time::Duration;
use uuid::Uuid;

pub use close::consumer;
pub use ledger::{Erasure, ErasureFilter, announce_open, list};

use crate::{
    Failure, Origin, Pseudonyms,
    account::administration::{has_administrator, lock_role},
    account_requests,
    audit::{self, Action, Entry},
    change::Store,
    lockout,
};

/// Services that hold something of an account, and have to answer.
pub(crate) const ERASERS: &[&str] = &["user-service"];

/// The GDPR gives a month.
const DUE_AFTER: Duration = Duration::days(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// Gone from here; the id is the ledger's.
    Done(Uuid),
    NoSuchAccount,
    /// It would leave no active administrator.
    LastAdministrator,
}

/// Erases the account.
pub async fn erase(store: &Store, pseudonyms: &Pseudonyms, account: Uuid, origin: &Origin) -> Result<Erased, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    lock_role(change.connection(), &Role::ADMIN).await?;
    let Some(account) = change.lock(account).await? else { return Ok(Erased::NoSuchAccount) };
    let (now, id) = (change.now(), account.id);
    let was_administrator =
        sqlx::query!("DELETE FROM user_roles WHERE user_id = $1 AND role = $2", id, Role::ADMIN.as_str())
            .execute(change.connection())
            .await?
            .rows_affected()
            > 0;
    if was_administrator && !has_administrator(change.connection()).await? {
        return Ok(Erased::LastAdministrator);
    }
    let pseudonym = pseudonyms.of(&account.email);
    for statement in [
        sqlx::query!("DELETE FROM user_roles WHERE user_id = $1", id),
        sqlx::query!("DELETE FROM sessions WHERE user_id = $1", id),
        sqlx::query!("DELETE FROM password_reset_tokens WHERE user_id = $1", id),
        sqlx::query!("DELETE FROM email_verification_tokens WHERE user_id = $1", id),
    ] {
        statement.execute(change.connection()).await?;
    }
    account_requests::forget(change.connection(), id, &account.email).await?;
    lockout::forget(change.connection(), pseudonym).await?;
    outbox::forget_subject(change.connection(), &id.to_string()).await?;

    let sequence = Sequence::after(Some(account.sequence), now);
    sqlx::query!(
        "UPDATE users
            SET status = 'deleted', email = NULL, password_hash = NULL, email_verified_at = NULL, display_name = NULL,
                locale = NULL, deactivation_reason = NULL, min_token_version = min_token_version + 1, sequence = $2, updated_at = $3
          WHERE id = $1",
        id,
        sequence.get(),
        now
    )
    .execute(change.connection())
    .await?;
    let erasure_id = change.new_event_id();
    ledger::open(change.connection(), erasure_id, id, now, now + DUE_AFTER).await?;
    let event = UserDeletedV1 { user_id: id, timestamp: now, source: ServiceName::AUTH_SERVICE, erasure_id };
    change.append(change.new_event_id(), sequence, &event).await?;
    change.outdates_address(&account.email, sequence);
    change.outdates_for_good(id);
    change.audit(Entry::success(Action::Delete, id)).await?;
    // Last, so that the entry of the deletion itself tells no more than the others.
    audit::forget(change.connection(), id, pseudonym).await?;
    change.commit().await?;
    tracing::info!(user_id = %id, %erasure_id, "an account was erased");
    Ok(Erased::Done(erasure_id))
}
