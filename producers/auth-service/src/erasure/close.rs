//! `user.erasure.completed` → an entry of the ledger is one service nearer to its end.

use async_trait::async_trait;
use schemas::UserErasureCompletedV1;
use sqlx::PgConnection;
use uuid::Uuid;
use worker::{ApplyEvents, Consumer, HandlerError, Received, Verdict};

use crate::NAME;

/// Notes which services have erased what they held of an account.
#[derive(Debug, Clone, Copy)]
pub struct CloseErasure;

/// The events that auth-service listens to.
pub fn consumer() -> Consumer {
    Consumer::named(NAME).apply(CloseErasure).build()
}

#[async_trait]
impl ApplyEvents for CloseErasure {
    type Event = UserErasureCompletedV1;

    const NAME: &'static str = "close_erasure";
    const READS: &'static [&'static str] = &["/erasureId", "/service", "/timestamp", "/userId"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, UserErasureCompletedV1>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let erasures: Vec<_> = events.iter().map(|received| received.event.erasure_id).collect();
        let users: Vec<_> = events.iter().map(|received| received.event.user_id).collect();
        let services: Vec<_> = events.iter().map(|received| received.event.service.as_str()).collect();
        let times: Vec<_> = events.iter().map(|received| received.event.timestamp).collect();

        // The entries are locked in the order of their ids, before anything of theirs is counted: of two services that
        // answer at the same moment, the second sees that it is the last.
        let locked = sqlx::query!(
            "SELECT e.id, e.user_id FROM erasures e WHERE e.id = ANY($1) ORDER BY e.id FOR NO KEY UPDATE",
            &erasures
        )
        .fetch_all(&mut *connection)
        .await?;
        let noted = sqlx::query!(
            "UPDATE erasure_services s SET completed_at = event.at
               FROM (SELECT erasure_id, service, min(at) AS at
                       FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) AS e (erasure_id, user_id, service, at)
                      WHERE EXISTS (SELECT FROM erasures l WHERE l.id = e.erasure_id AND l.user_id = e.user_id)
                      GROUP BY erasure_id, service) AS event
              WHERE s.erasure_id = event.erasure_id AND s.service = event.service AND s.completed_at IS NULL
              RETURNING s.erasure_id, s.service",
            &erasures,
            &users,
            &services as &[&str],
            &times,
        )
        .fetch_all(&mut *connection)
        .await?;
        sqlx::query!(
            "UPDATE erasures e
                SET completed_at = (SELECT max(completed_at) FROM erasure_services s WHERE s.erasure_id = e.id)
              WHERE e.id = ANY($1) AND e.completed_at IS NULL
                AND NOT EXISTS (SELECT FROM erasure_services s WHERE s.erasure_id = e.id AND s.completed_at IS NULL)",
            &erasures
        )
        .execute(connection)
        .await?;

        let verdict = |received: &Received<'_, UserErasureCompletedV1>| {
            let UserErasureCompletedV1 { erasure_id, user_id, service, .. } = received.event;
            let is = |id: Uuid, user: Uuid| id == *erasure_id && user == *user_id;
            if !locked.iter().any(|entry| is(entry.id, entry.user_id)) {
                return Verdict::Reject("there is no such erasure of this account".into());
            }
            match noted.iter().any(|row| row.erasure_id == *erasure_id && row.service == service.as_str()) {
                true => Verdict::Applied,
                // Told again, or of a service that is not waited for.
                false => Verdict::Stale,
            }
        };
        Ok(events.iter().map(verdict).collect())
    }
}
