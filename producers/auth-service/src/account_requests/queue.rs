use service::postgres::Pool;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Asked;
use crate::{EmailAddress, Failure, Origin};

/// A row that was taken in hand.
pub(super) struct Request {
    pub id: Uuid,
    pub kind: String,
    email: String,
    account: Option<Uuid>,
    pub origin: Origin,
    pub requested_at: OffsetDateTime,
    /// This one included.
    pub attempts: i32,
}

impl Request {
    /// Read one by one, so that a row which can't be read is in nobody's way.
    pub fn read(&self) -> Result<(Asked, EmailAddress), Failure> {
        let asked = Asked::from_stored(&self.kind, self.account).ok_or(Failure::StoredRequest("kind"))?;
        let email = EmailAddress::parse(&self.email).map_err(|_| Failure::StoredRequest("email"))?;
        Ok((asked, email))
    }
}

/// How many wait, and since when the oldest does.
pub(super) struct Waiting {
    pub requests: i64,
    pub oldest: Option<OffsetDateTime>,
}

/// After a first attempt; doubled by each further one. Also how long a worker that dies keeps others waiting.
const FIRST_DELAY: Duration = Duration::seconds(10);
const LONGEST_DELAY: Duration = Duration::minutes(10);

pub(super) async fn insert(
    pool: &Pool,
    asked: Asked,
    email: &EmailAddress,
    origin: &Origin,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    sqlx::query!(
        "INSERT INTO account_requests
             (id, kind, email, account_id, traceparent, request_id, ip, user_agent, requested_at, not_before)
         VALUES ($1, $2, $3, $4, $5, $6, $7::text::inet, $8, $9, $9)",
        schemas::event_id(now),
        asked.kind(),
        email.as_str(),
        asked.account(),
        origin.traceparent,
        origin.request_id,
        origin.ip_text(),
        origin.user_agent(),
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes up to `limit` rows in hand, those that have been due for longest, and answers them oldest first. Commits: whatever
/// becomes of a row, it is due again only when its delay is over.
pub(super) async fn take(pool: &Pool, limit: i64, now: OffsetDateTime) -> Result<Vec<Request>, Failure> {
    let rows = sqlx::query!(
        r#"UPDATE account_requests r
              SET attempts = r.attempts + 1,
                  not_before = $1 + least($3::float8 * power(2, r.attempts), $4::float8) * interval '1 second'
             FROM (SELECT id FROM account_requests WHERE not_before <= $1
                    ORDER BY not_before, id LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
            WHERE r.id = due.id
            RETURNING r.id, r.kind, r.email, r.account_id, r.traceparent, r.request_id, host(r.ip) AS ip, r.user_agent,
                      r.requested_at, r.attempts"#,
        now,
        limit,
        FIRST_DELAY.as_seconds_f64(),
        LONGEST_DELAY.as_seconds_f64(),
    )
    .fetch_all(pool)
    .await?;
    let read = rows.into_iter().map(|row| {
        let ip = row.ip.and_then(|ip| ip.parse().ok());
        let mut origin = Origin::new(row.traceparent, row.request_id, ip, row.user_agent.as_deref());
        origin.actor = row.account_id;
        Request {
            id: row.id,
            kind: row.kind,
            email: row.email,
            account: row.account_id,
            origin,
            requested_at: row.requested_at,
            attempts: row.attempts,
        }
    });
    let mut requests: Vec<_> = read.collect();
    requests.sort_by_key(|request| (request.requested_at, request.id));
    Ok(requests)
}

/// Takes a row away; answers whether it was still there.
pub(super) async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<bool, Failure> {
    let deleted = sqlx::query!("DELETE FROM account_requests WHERE id = $1", id).execute(connection).await?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn waiting(pool: &Pool) -> Result<Waiting, Failure> {
    let waiting = sqlx::query_as!(
        Waiting,
        r#"SELECT count(*) AS "requests!", min(requested_at) AS oldest FROM account_requests"#
    );
    Ok(waiting.fetch_one(pool).await?)
}
