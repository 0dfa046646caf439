//! Passwords: what may be one, how they are hashed, and how one is replaced by another.

pub(crate) mod argon2id;
mod changing;
pub(crate) mod hashing;
mod policy;
mod reset;
mod strength;
mod threads;

use schemas::{ServiceName, UserPasswordChangedV1};
use secrecy::{ExposeSecret, SecretString};
use service::postgres::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

pub use changing::{Changed, PasswordChange};
pub use hashing::{HashError, HashLimits, PasswordHasher};
pub use policy::{NewPassword, Password, PasswordPolicy, UnfitPassword};
pub use reset::{PasswordReset, Reset};

use crate::{
    Failure, Pseudonyms,
    account::Account,
    change::Change,
    lockout::{self, Credentials},
    mail_requests::{end_address_changes, end_password_resets},
};

pub(crate) async fn store(connection: &mut PgConnection, account: Uuid, hash: &SecretString) -> Result<(), Failure> {
    sqlx::query!("UPDATE users SET password_hash = $2 WHERE id = $1", account, hash.expose_secret())
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives the account another hash of the password that it was proved to have, unless it has another one by now. Commits.
pub(crate) async fn rehash(pool: &Pool, proved: &Credentials, hash: &SecretString) -> Result<(), Failure> {
    sqlx::query!(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        proved.id,
        proved.password_hash.expose_secret(),
        hash.expose_secret()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the account another password, whose row has to be locked. What is held against its owner is forgiven; what
/// somebody who is shut out may still hold is worthless, but for their sessions, which the caller ends. Tells of it.
pub(crate) async fn replace(
    change: &mut Change<'_>,
    account: &mut Account,
    hash: &SecretString,
    pseudonyms: &Pseudonyms,
) -> Result<(), Failure> {
    store(change.connection(), account.id, hash).await?;
    lockout::forgive(change.connection(), pseudonyms.of(&account.email)).await?;
    end_password_resets(change, account).await?;
    end_address_changes(change, account).await?;
    let min_token_version = account.raise_token_version(change.connection()).await?;
    let event = UserPasswordChangedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: change.now(),
        source: ServiceName::AUTH_SERVICE,
        min_token_version,
    };
    change.emit(account, &event).await
}

/// Whether the account still has this hash. Its row has to be locked, or the answer may be old.
pub(crate) async fn is_stored(
    connection: &mut PgConnection,
    account: Uuid,
    hash: &SecretString,
) -> Result<bool, Failure> {
    let same = sqlx::query_scalar!(
        r#"SELECT coalesce(password_hash = $2, false) AS "same!" FROM users WHERE id = $1"#,
        account,
        hash.expose_secret()
    );
    Ok(same.fetch_one(connection).await?)
}
