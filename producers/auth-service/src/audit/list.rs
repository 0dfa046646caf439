use serde::Serialize;
use service::postgres::Pool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Failure;

/// One thing that was done or tried.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// What was done, or tried.
    #[schema(example = "log-in")]
    pub action: String,
    /// `success` or `failure`.
    #[schema(example = "success")]
    pub outcome: String,
    /// Why it failed, or what led to it.
    #[schema(example = "wrong-password")]
    pub reason: Option<String>,
    /// Who did it, where somebody was signed in.
    pub actor_id: Option<Uuid>,
    /// Whose account it was about.
    pub subject_id: Option<Uuid>,
    /// From where; without its last part once it is 30 days old.
    #[schema(example = "203.0.113.0/24")]
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// As the answer told it in `x-request-id`.
    pub request_id: String,
}

/// Which entries; all conditions hold at once.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By or about this account.
    pub user: Option<Uuid>,
    pub action: Option<String>,
    pub outcome: Option<String>,
    /// At or after it.
    pub since: Option<OffsetDateTime>,
    /// Before it.
    pub until: Option<OffsetDateTime>,
    /// Older than this entry.
    pub after: Option<Uuid>,
}

/// Newest first, at most `limit`.
pub async fn list(pool: &Pool, filter: &AuditFilter, limit: u16) -> Result<Vec<AuditEntry>, Failure> {
    let entries = sqlx::query_as!(
        AuditEntry,
        r#"SELECT id, at, action, outcome, reason, actor_id, subject_id,
                  CASE WHEN masklen(ip) = CASE family(ip) WHEN 4 THEN 32 ELSE 128 END THEN host(ip) ELSE ip::text END AS ip,
                  user_agent, request_id
             FROM security_audit_logs
            WHERE ($1::uuid IS NULL OR subject_id = $1 OR actor_id = $1)
              AND ($2::text IS NULL OR action = $2)
              AND ($3::text IS NULL OR outcome = $3)
              AND ($4::timestamptz IS NULL OR at >= $4)
              AND ($5::timestamptz IS NULL OR at < $5)
              AND ($6::uuid IS NULL OR id < $6)
            ORDER BY id DESC
            LIMIT $7"#,
        filter.user,
        filter.action.as_deref(),
        filter.outcome.as_deref(),
        filter.since,
        filter.until,
        filter.after,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    Ok(entries)
}
