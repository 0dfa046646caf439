//! Passwords: what may be one, how they are hashed, and how one is replaced by another.

mod change;
pub(crate) mod hashing;
mod policy;
mod reset;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use uuid::Uuid;

pub use change::{Changed, PasswordChange};
pub use hashing::{HashError, HashLimits, PasswordHasher};
pub use policy::{Password, PasswordPolicy, UnfitPassword};
pub use reset::{PasswordReset, Reset};

use crate::Failure;

pub(crate) async fn store(connection: &mut PgConnection, account: Uuid, hash: &SecretString) -> Result<(), Failure> {
    sqlx::query!("UPDATE users SET password_hash = $2 WHERE id = $1", account, hash.expose_secret())
        .execute(connection)
        .await?;
    Ok(())
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
