//! What administrators look at: one user as a whole, and which events were applied.

use service::postgres::Pool;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Refusal, Store, profile::Profile};

/// How much a user keeps here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub addresses: i64,
    pub payment_methods: i64,
    pub wishes: i64,
    pub has_preferences: bool,
}

/// An event that was applied. It holds ids, and nothing of a person.
pub struct AppliedEvent {
    pub event_key: Uuid,
    pub event_id: String,
    pub event_type: String,
    pub schema_version: i32,
    pub source: String,
    pub subject: Option<String>,
    pub sequence: Option<i64>,
    pub handler: String,
    pub event_time: OffsetDateTime,
    pub applied_at: OffsetDateTime,
    pub redeliveries: i32,
}

/// Which events; all conditions hold at once.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Whom or what they are about.
    pub subject: Option<Uuid>,
    pub event_type: Option<String>,
    pub event_key: Option<Uuid>,
    /// Of an older key than this one.
    pub before: Option<Uuid>,
}

/// From the primary, as everything that tells of somebody's status.
pub(crate) async fn user(store: &Store, user: Uuid) -> Result<Option<(Profile, Kept)>, Refusal> {
    let Some(profile) = Profile::find(&store.pool, user).await? else { return Ok(None) };
    Ok(Some((profile, kept(&store.pool, user).await?)))
}

async fn kept(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Kept, Refusal> {
    let kept = sqlx::query_as!(
        Kept,
        r#"SELECT (SELECT count(*) FROM addresses WHERE user_id = $1) AS "addresses!",
                  (SELECT count(*) FROM payment_methods WHERE user_id = $1) AS "payment_methods!",
                  (SELECT count(*) FROM wishlist_items WHERE user_id = $1) AS "wishes!",
                  EXISTS (SELECT FROM user_preferences WHERE user_id = $1) AS "has_preferences!""#,
        user
    );
    Ok(kept.fetch_one(executor).await?)
}

/// By their keys, the youngest first, at most `limit`.
pub(crate) async fn applied(store: &Store, filter: &EventFilter, limit: u16) -> Result<Vec<AppliedEvent>, Refusal> {
    let subject = filter.subject.map(|subject| subject.to_string());
    let (event_type, event_key, before) = (filter.event_type.clone(), filter.event_key, filter.before);
    let page = move |pool: Pool| {
        let (subject, event_type) = (subject.clone(), event_type.clone());
        async move {
            sqlx::query_as!(
                AppliedEvent,
                "SELECT event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time,
                        applied_at, redeliveries
                   FROM event_logs
                  WHERE ($1::text IS NULL OR subject = $1)
                    AND ($2::text IS NULL OR event_type = $2)
                    AND ($3::uuid IS NULL OR event_key = $3)
                    AND ($4::uuid IS NULL OR event_key < $4)
                  ORDER BY event_key DESC
                  LIMIT $5",
                subject,
                event_type,
                event_key,
                before,
                i64::from(limit)
            )
            .fetch_all(&pool)
            .await
        }
    };
    store.list(page).await
}
