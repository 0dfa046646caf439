use metrics::gauge;
use schemas::{Sequence, ServiceName, UserDeletedV1};
use serde::Serialize;
use service::postgres::Pool;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ERASERS;
use crate::{Failure, Origin, change::Store};

/// An account that was erased, and which services have said that their part is gone as well.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    pub erasure_id: Uuid,
    pub user_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: OffsetDateTime,
    /// By when every service should have answered.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub due_at: OffsetDateTime,
    /// When the last service answered.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<OffsetDateTime>,
    /// Services that have not answered.
    #[schema(example = json!(["user-service"]))]
    pub waiting_for: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct ErasureFilter {
    pub user: Option<Uuid>,
    /// Only those that are complete, or only those that are not.
    pub completed: Option<bool>,
    /// Older than this one.
    pub after: Option<Uuid>,
}

/// Newest first, at most `limit`.
pub async fn list(pool: &Pool, filter: &ErasureFilter, limit: u16) -> Result<Vec<Erasure>, Failure> {
    let erasures = sqlx::query_as!(
        Erasure,
        r#"SELECT id AS erasure_id, user_id, requested_at, due_at, completed_at,
                  coalesce((SELECT array_agg(service ORDER BY service) FROM erasure_services s
                             WHERE s.erasure_id = e.id AND s.completed_at IS NULL), '{}') AS "waiting_for!"
             FROM erasures e
            WHERE ($1::uuid IS NULL OR user_id = $1)
              AND ($2::bool IS NULL OR (completed_at IS NOT NULL) = $2)
              AND ($3::uuid IS NULL OR id < $3)
            ORDER BY id DESC
            LIMIT $4"#,
        filter.user,
        filter.completed,
        filter.after,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    Ok(erasures)
}

pub(super) async fn open(
    connection: &mut PgConnection,
    id: Uuid,
    user_id: Uuid,
    now: OffsetDateTime,
    due_at: OffsetDateTime,
) -> Result<(), Failure> {
    sqlx::query!(
        "INSERT INTO erasures (id, user_id, requested_at, due_at, announced_at) VALUES ($1, $2, $3, $4, $3)",
        id,
        user_id,
        now,
        due_at
    )
    .execute(&mut *connection)
    .await?;
    let services: Vec<String> = ERASERS.iter().map(|service| (*service).to_owned()).collect();
    sqlx::query!("INSERT INTO erasure_services (erasure_id, service) SELECT $1, unnest($2::text[])", id, &services)
        .execute(connection)
        .await?;
    Ok(())
}

/// How long after it was told a service that has not answered is told again.
const ANNOUNCE_AGAIN_AFTER: Duration = Duration::days(1);
const AT_A_TIME: i64 = 100;

/// Tells those services again that have not answered for a day; answers how many erasures that were. Measures how old the
/// oldest open one is.
pub async fn announce_open(store: &Store, origin: &Origin) -> Result<usize, Failure> {
    let now = store.now();
    let oldest = sqlx::query_scalar!("SELECT min(requested_at) FROM erasures WHERE completed_at IS NULL")
        .fetch_one(&store.pool)
        .await?;
    gauge!("erasures_open_oldest_seconds").set(oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0)));

    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, origin).await?;
    // An instance that does the same at the same moment takes others.
    let open = sqlx::query!(
        "UPDATE erasures e SET announced_at = $1
           FROM (SELECT id FROM erasures WHERE completed_at IS NULL AND announced_at <= $2
                  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
          WHERE e.id = due.id
          RETURNING e.id, e.user_id",
        now,
        now - ANNOUNCE_AGAIN_AFTER,
        AT_A_TIME
    )
    .fetch_all(change.connection())
    .await?;
    for erasure in &open {
        let previous =
            sqlx::query_scalar!("SELECT sequence FROM users WHERE id = $1 FOR NO KEY UPDATE", erasure.user_id)
                .fetch_one(change.connection())
                .await?;
        let sequence = Sequence::after(Some(Sequence::from_stored(previous)), now);
        sqlx::query!("UPDATE users SET sequence = $2 WHERE id = $1", erasure.user_id, sequence.get())
            .execute(change.connection())
            .await?;
        let event = UserDeletedV1 {
            user_id: erasure.user_id,
            timestamp: now,
            source: ServiceName::AUTH_SERVICE,
            erasure_id: erasure.id,
        };
        change.append(change.new_event_id(), sequence, &event).await?;
    }
    change.commit().await?;
    Ok(open.len())
}
