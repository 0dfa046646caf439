use serde::Serialize;
use service::postgres::Pool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::IDLE_LIFE;
use crate::Failure;

/// A session that is open.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub id: Uuid,
    /// When the password was proved.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub authenticated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: OffsetDateTime,
    /// When it ends in any case.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
    /// From where it was opened.
    #[schema(example = "203.0.113.7")]
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The account's open sessions, newest first.
pub async fn list(pool: &Pool, account: Uuid, current: Uuid, now: OffsetDateTime) -> Result<Vec<Session>, Failure> {
    let sessions = sqlx::query_as!(
        Session,
        r#"SELECT id, authenticated_at, last_used_at, expires_at, host(ip) AS ip, user_agent, id = $2 AS "current!"
             FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $3 AND last_used_at > $4 ORDER BY id DESC LIMIT 100"#,
        account,
        current,
        now,
        now - IDLE_LIFE,
    )
    .fetch_all(pool)
    .await?;
    Ok(sessions)
}
