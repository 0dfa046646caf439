//! What takes an account out of use or gives it power, and who may do that.
//!
//! There is always an active administrator. Changes that could take the last one away are serialised on the row of the role,
//! which is locked before any account; so of two administrators who demote each other one is left, since the second finds
//! that they are none any more.

use schemas::{
    AccountStatus, DeactivationReason, Role, ServiceName, UserDeactivatedV1, UserReactivatedV1, UserRolesChangedV1,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Account, roles_of};
use crate::{
    Failure, Origin,
    account_requests::withdraw_address_changes,
    audit::{Action, Entry},
    change::{Change, Store},
    mail_requests::{end_password_resets, end_verifications},
    session::revoke,
};

/// Who wants a change of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Owner,
    /// An administrator, by their account.
    Administrator(Uuid),
    /// Somebody with access to the machine, for the first administrator.
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administered {
    Done,
    /// It was like that already; nothing was changed, nothing emitted.
    AlreadyThere,
    NoSuchAccount,
    NoSuchRole,
    /// Whoever asks is no administrator (any more).
    NotAllowed,
    /// Nobody raises themselves.
    OwnRoles,
    /// It would leave no active administrator.
    LastAdministrator,
}

/// Gives the account a role.
pub async fn grant(
    store: &Store,
    account: Uuid,
    role: &Role,
    by: By,
    origin: &Origin,
) -> Result<Administered, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    if !lock_role(change.connection(), &Role::ADMIN).await? || !exists(change.connection(), role).await? {
        return Ok(Administered::NoSuchRole);
    }
    if !may(&mut change, by).await? {
        return Ok(Administered::NotAllowed);
    }
    if by == By::Administrator(account) {
        return Ok(Administered::OwnRoles);
    }
    let Some(mut account) = change.lock(account).await? else { return Ok(Administered::NoSuchAccount) };
    let now = change.now();
    let granted = sqlx::query!(
        "INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        account.id,
        role.as_str(),
        now
    )
    .execute(change.connection())
    .await?;
    if granted.rows_affected() == 0 {
        return Ok(Administered::AlreadyThere);
    }
    tell_roles(&mut change, &mut account).await?;
    change.audit(Entry::success(Action::GrantRole, account.id).because(&in_audit(role))).await?;
    change.commit().await?;
    Ok(Administered::Done)
}

/// Takes a role from the account.
pub async fn revoke(
    store: &Store,
    account: Uuid,
    role: &Role,
    by: By,
    origin: &Origin,
) -> Result<Administered, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    if !lock_role(change.connection(), &Role::ADMIN).await? || !exists(change.connection(), role).await? {
        return Ok(Administered::NoSuchRole);
    }
    if !may(&mut change, by).await? {
        return Ok(Administered::NotAllowed);
    }
    let Some(mut account) = change.lock(account).await? else { return Ok(Administered::NoSuchAccount) };
    let revoked = sqlx::query!("DELETE FROM user_roles WHERE user_id = $1 AND role = $2", account.id, role.as_str())
        .execute(change.connection())
        .await?;
    if revoked.rows_affected() == 0 {
        return Ok(Administered::AlreadyThere);
    }
    if *role == Role::ADMIN && !has_administrator(change.connection()).await? {
        return Ok(Administered::LastAdministrator);
    }
    tell_roles(&mut change, &mut account).await?;
    change.audit(Entry::success(Action::RevokeRole, account.id).because(&in_audit(role))).await?;
    change.commit().await?;
    Ok(Administered::Done)
}

/// Takes the account out of use; its data is kept. Everybody is signed out, and links that were mailed lead nowhere.
pub async fn deactivate(store: &Store, account: Uuid, by: By, origin: &Origin) -> Result<Administered, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    lock_role(change.connection(), &Role::ADMIN).await?;
    if !may(&mut change, by).await? {
        return Ok(Administered::NotAllowed);
    }
    let Some(mut account) = change.lock(account).await? else { return Ok(Administered::NoSuchAccount) };
    if account.status == AccountStatus::Deactivated {
        return Ok(Administered::AlreadyThere);
    }
    let reason = if by == By::Owner { DeactivationReason::OwnRequest } else { DeactivationReason::AdminDecision };
    set_status(&mut change, &mut account, AccountStatus::Deactivated, Some(&reason)).await?;
    if !has_administrator(change.connection()).await? && is_administrator(change.connection(), account.id).await? {
        return Ok(Administered::LastAdministrator);
    }
    revoke::end(&mut change, &account, None, "deactivated").await?;
    end_password_resets(&mut change, &account).await?;
    end_verifications(&mut change, &account).await?;
    withdraw_address_changes(change.connection(), account.id).await?;
    let min_token_version = account.raise_token_version(change.connection()).await?;
    let event = UserDeactivatedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: change.now(),
        source: ServiceName::AUTH_SERVICE,
        status: account.status,
        reason: reason.clone(),
        min_token_version,
    };
    change.emit(&mut account, &event).await?;
    change.audit(Entry::success(Action::Deactivate, account.id).because(reason.as_str())).await?;
    change.commit().await?;
    Ok(Administered::Done)
}

/// Puts a deactivated account into use again. Its owner signs in anew.
pub async fn reactivate(store: &Store, account: Uuid, by: By, origin: &Origin) -> Result<Administered, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    if !may(&mut change, by).await? {
        return Ok(Administered::NotAllowed);
    }
    let Some(mut account) = change.lock(account).await? else { return Ok(Administered::NoSuchAccount) };
    if account.status == AccountStatus::Active {
        return Ok(Administered::AlreadyThere);
    }
    set_status(&mut change, &mut account, AccountStatus::Active, None).await?;
    let event = UserReactivatedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: change.now(),
        source: ServiceName::AUTH_SERVICE,
        status: account.status,
    };
    change.emit(&mut account, &event).await?;
    change.audit(Entry::success(Action::Reactivate, account.id)).await?;
    change.commit().await?;
    Ok(Administered::Done)
}

/// `why` it is out of use, if it is.
async fn set_status(
    change: &mut Change<'_>,
    account: &mut Account,
    status: AccountStatus,
    why: Option<&DeactivationReason>,
) -> Result<(), Failure> {
    sqlx::query!(
        "UPDATE users SET status = $2, deactivation_reason = $3 WHERE id = $1",
        account.id,
        status.as_str(),
        why.map(DeactivationReason::as_str)
    )
    .execute(change.connection())
    .await?;
    account.status = status;
    Ok(())
}

/// Access tokens carry roles, so those from before are refused.
async fn tell_roles(change: &mut Change<'_>, account: &mut Account) -> Result<(), Failure> {
    let min_token_version = account.raise_token_version(change.connection()).await?;
    let event = UserRolesChangedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: change.now(),
        source: ServiceName::AUTH_SERVICE,
        roles: roles_of(change.connection(), account.id).await?,
        min_token_version,
    };
    change.emit(account, &event).await
}

/// An administrator's right is looked at inside the change: it may have been taken since they asked.
pub(crate) async fn may(change: &mut Change<'_>, by: By) -> Result<bool, Failure> {
    match by {
        By::Owner | By::Operator => Ok(true),
        By::Administrator(account) => is_administrator(change.connection(), account).await,
    }
}

async fn is_administrator(connection: &mut PgConnection, account: Uuid) -> Result<bool, Failure> {
    let is = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM user_roles WHERE user_id = $1 AND role = $2) AS "is!""#,
        account,
        Role::ADMIN.as_str()
    );
    Ok(is.fetch_one(connection).await?)
}

/// Whether there is an active one.
pub(crate) async fn has_administrator(connection: &mut PgConnection) -> Result<bool, Failure> {
    let has = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM user_roles r JOIN users u ON u.id = r.user_id WHERE r.role = $1 AND u.status = 'active'
           ) AS "has!""#,
        Role::ADMIN.as_str()
    );
    Ok(has.fetch_one(connection).await?)
}

/// Locks the role until the transaction ends; answers whether there is such a role.
pub(crate) async fn lock_role(connection: &mut PgConnection, role: &Role) -> Result<bool, Failure> {
    let locked = sqlx::query_scalar!("SELECT name FROM roles WHERE name = $1 FOR NO KEY UPDATE", role.as_str());
    Ok(locked.fetch_optional(connection).await?.is_some())
}

async fn exists(connection: &mut PgConnection, role: &Role) -> Result<bool, Failure> {
    let exists =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM roles WHERE name = $1) AS "exists!""#, role.as_str());
    Ok(exists.fetch_one(connection).await?)
}

fn in_audit(role: &Role) -> String {
    role.as_str().replace('_', "-")
}
