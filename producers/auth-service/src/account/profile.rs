//! Accounts as they are shown: to their owner, and to administrators.

use serde::Serialize;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{EmailAddress, Failure};

/// An account, as its owner and administrators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub user_id: Uuid,
    #[schema(format = Email, example = "ada@example.com")]
    pub email: String,
    pub email_verified: bool,
    /// What the user is to be called, where they said so.
    #[schema(example = "Ada")]
    pub display_name: Option<String>,
    /// `active` or `deactivated`.
    #[schema(example = "active")]
    pub status: String,
    #[schema(example = json!(["user"]))]
    pub roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: OffsetDateTime,
    /// Which version of the account's row this is.
    #[serde(skip)]
    pub(crate) sequence: i64,
}

/// Which accounts; all conditions hold at once.
#[derive(Debug, Clone, Default)]
pub struct ProfileFilter {
    pub id: Option<Uuid>,
    pub email: Option<EmailAddress>,
    pub status: Option<String>,
    pub role: Option<String>,
    /// Made after this one.
    pub after: Option<Uuid>,
}

/// Oldest first, at most `limit`. Erased accounts are in none.
pub async fn list(executor: impl PgExecutor<'_>, filter: &ProfileFilter, limit: u16) -> Result<Vec<Profile>, Failure> {
    let profiles = sqlx::query_as!(
        Profile,
        r#"SELECT id AS user_id, email AS "email!", email_verified_at IS NOT NULL AS "email_verified!", display_name,
                  status, created_at, updated_at, sequence,
                  coalesce((SELECT array_agg(role ORDER BY role) FROM user_roles WHERE user_id = id), '{}') AS "roles!"
             FROM users u
            WHERE status <> 'deleted'
              AND ($1::uuid IS NULL OR id = $1)
              AND ($2::text IS NULL OR email = $2)
              AND ($3::text IS NULL OR status = $3)
              AND ($4::text IS NULL OR EXISTS (SELECT FROM user_roles r WHERE r.user_id = u.id AND r.role = $4))
              AND ($5::uuid IS NULL OR id > $5)
            ORDER BY id
            LIMIT $6"#,
        filter.id,
        filter.email.as_ref().map(EmailAddress::as_str),
        filter.status.as_deref(),
        filter.role.as_deref(),
        filter.after,
        i64::from(limit),
    )
    .fetch_all(executor)
    .await?;
    Ok(profiles)
}
