//! Ending sessions.

use schemas::{ServiceName, UserSessionsRevokedV1};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    Failure, Origin,
    account::{
        Account,
        administration::{self, Administered, By},
    },
    audit::{Action, Entry},
    change::{Change, Store},
    mail_requests::end_address_changes,
    secret_token::{Refresh, SecretToken},
};

/// Ends the account's open sessions, or one of them; answers how many that were. The account's row has to be locked. Access
/// tokens stay good, for ten minutes at the most, unless the account's token version is raised as well.
pub(crate) async fn end(
    change: &mut Change<'_>,
    account: &Account,
    only: Option<Uuid>,
    reason: &str,
) -> Result<u64, Failure> {
    let now = change.now();
    let ended = sqlx::query!(
        "UPDATE sessions SET revoked_at = $3, revoked_reason = $4
          WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND revoked_at IS NULL AND expires_at > $3",
        account.id,
        only,
        now,
        reason,
    )
    .execute(change.connection())
    .await?;
    Ok(ended.rows_affected())
}

/// As [`end`], of all sessions but one.
pub(crate) async fn end_others(
    change: &mut Change<'_>,
    account: &Account,
    but: Uuid,
    reason: &str,
) -> Result<u64, Failure> {
    let now = change.now();
    let ended = sqlx::query!(
        "UPDATE sessions SET revoked_at = $3, revoked_reason = $4
          WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3",
        account.id,
        but,
        now,
        reason,
    )
    .execute(change.connection())
    .await?;
    Ok(ended.rows_affected())
}

/// Makes worthless what somebody who is shut out may still hold: access tokens, and a link to another address. Tells of it.
pub(crate) async fn refuse_access_tokens(change: &mut Change<'_>, account: &mut Account) -> Result<(), Failure> {
    end_address_changes(change, account).await?;
    let min_token_version = account.raise_token_version(change.connection()).await?;
    let event = UserSessionsRevokedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: change.now(),
        source: ServiceName::AUTH_SERVICE,
        min_token_version,
    };
    change.emit(account, &event).await
}

/// Signs out the session of a refresh token, used or not. Idempotent; whatever the token is, nobody is told.
pub async fn log_out(store: &Store, token: &SecretString, origin: &Origin) -> Result<(), Failure> {
    let Some(token) = SecretToken::<Refresh>::parse(token) else { return Ok(()) };
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    let session = sqlx::query!(
        "SELECT s.id, s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.family_id WHERE t.token_hash = $1",
        token.hash().as_slice()
    )
    .fetch_optional(change.connection())
    .await?;
    let Some(session) = session else { return Ok(()) };
    let Some(account) = change.lock(session.user_id).await? else { return Ok(()) };
    if end(&mut change, &account, Some(session.id), "log-out").await? > 0 {
        change.audit(Entry::success(Action::LogOut, account.id)).await?;
    }
    change.commit().await
}

/// Signs out one session of the account; answers whether it was there to be ended.
pub async fn revoke_one(store: &Store, account: Uuid, session: Uuid, origin: &Origin) -> Result<bool, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    let Some(account) = change.lock(account).await? else { return Ok(false) };
    let ended = end(&mut change, &account, Some(session), "revoked").await? > 0;
    if ended {
        // It may be a stranger's that is ended.
        end_address_changes(&mut change, &account).await?;
        change.audit(Entry::success(Action::RevokeSession, account.id)).await?;
    }
    change.commit().await?;
    Ok(ended)
}

/// Signs out all sessions of the account, and refuses their access tokens.
pub async fn log_out_everywhere(
    store: &Store,
    account: Uuid,
    by: By,
    origin: &Origin,
) -> Result<Administered, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    if !administration::may(&mut change, by).await? {
        return Ok(Administered::NotAllowed);
    }
    let Some(mut account) = change.lock(account).await? else { return Ok(Administered::NoSuchAccount) };
    end(&mut change, &account, None, "log-out-everywhere").await?;
    refuse_access_tokens(&mut change, &mut account).await?;
    change.audit(Entry::success(Action::LogOutEverywhere, account.id)).await?;
    change.commit().await?;
    Ok(Administered::Done)
}
