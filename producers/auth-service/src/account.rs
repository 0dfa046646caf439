//! An account's row, and how it is changed.
//!
//! Whoever changes an account locks its row first, then its sessions, then everything else that hangs on it: always in
//! this order, so that no two of them wait for each other.

pub mod administration;
mod email_address;
pub mod profile;
pub(crate) mod profiles;
pub mod registration;
pub mod verification;

use schemas::{AccountStatus, Locale, Role, Roles, Sequence, TokenVersion};
use sqlx::PgConnection;
use uuid::Uuid;

pub use email_address::{EmailAddress, InvalidEmailAddress};

use crate::Failure;

/// An account that was not erased, as its row says it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub id: Uuid,
    pub email: EmailAddress,
    pub status: AccountStatus,
    pub email_verified: bool,
    pub locale: Option<Locale>,
    pub min_token_version: TokenVersion,
    pub sequence: Sequence,
}

impl Account {
    /// Locks the row until the transaction ends; `None` where there is none, or it was erased.
    pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Self>, Failure> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, email AS "email!", status, email_verified_at IS NOT NULL AS "email_verified!", locale,
                      min_token_version, sequence
                 FROM users WHERE id = $1 AND status <> 'deleted' FOR NO KEY UPDATE"#,
            id
        )
        .fetch_optional(connection)
        .await?;
        row.map(Self::try_from).transpose()
    }

    /// As [`lock`](Self::lock), of the account that has the address.
    pub async fn lock_by_address(connection: &mut PgConnection, email: &EmailAddress) -> Result<Option<Self>, Failure> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, email AS "email!", status, email_verified_at IS NOT NULL AS "email_verified!", locale,
                      min_token_version, sequence
                 FROM users WHERE email = $1 AND status <> 'deleted' FOR NO KEY UPDATE"#,
            email.as_str()
        )
        .fetch_optional(connection)
        .await?;
        row.map(Self::try_from).transpose()
    }

    /// The account of an address, unlocked.
    pub async fn find(connection: &mut PgConnection, email: &EmailAddress) -> Result<Option<Uuid>, Failure> {
        let found = sqlx::query_scalar!("SELECT id FROM users WHERE email = $1", email.as_str());
        Ok(found.fetch_optional(connection).await?)
    }

    /// Access tokens that were made until now are refused from now on.
    pub async fn raise_token_version(&mut self, connection: &mut PgConnection) -> Result<TokenVersion, Failure> {
        let raised = sqlx::query_scalar!(
            "UPDATE users SET min_token_version = min_token_version + 1 WHERE id = $1 RETURNING min_token_version",
            self.id
        )
        .fetch_one(connection)
        .await?;
        self.min_token_version = token_version(raised)?;
        Ok(self.min_token_version)
    }
}

/// As it is stored.
struct Row {
    id: Uuid,
    email: String,
    status: String,
    email_verified: bool,
    locale: Option<String>,
    min_token_version: i64,
    sequence: i64,
}

impl TryFrom<Row> for Account {
    type Error = Failure;

    fn try_from(row: Row) -> Result<Self, Failure> {
        Ok(Self {
            id: row.id,
            email: EmailAddress::parse(&row.email).map_err(|_| Failure::StoredAccount("email"))?,
            status: status(&row.status)?,
            email_verified: row.email_verified,
            locale: row.locale.and_then(|locale| locale.parse().ok()),
            min_token_version: token_version(row.min_token_version)?,
            sequence: Sequence::from_stored(row.sequence),
        })
    }
}

/// All roles of an account.
pub(crate) async fn roles_of(connection: &mut PgConnection, account: Uuid) -> Result<Roles, Failure> {
    let roles = sqlx::query_scalar!("SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role", account);
    roles_from(roles.fetch_all(connection).await?)
}

pub(crate) fn roles_from(names: Vec<String>) -> Result<Roles, Failure> {
    let roles: Result<Vec<Role>, _> = names.into_iter().map(Role::try_from).collect();
    roles.ok().and_then(|roles| Roles::try_from(roles).ok()).ok_or(Failure::StoredAccount("roles"))
}

pub(crate) fn status(text: &str) -> Result<AccountStatus, Failure> {
    [AccountStatus::Active, AccountStatus::Deactivated]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(Failure::StoredAccount("status"))
}

pub(crate) fn token_version(stored: i64) -> Result<TokenVersion, Failure> {
    TokenVersion::try_from(stored).map_err(|_| Failure::StoredAccount("min_token_version"))
}
