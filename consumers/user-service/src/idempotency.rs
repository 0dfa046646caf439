//! Requests that may be sent again, by whoever did not hear what became of them (draft-ietf-httpapi-idempotency-key-header).
//!
//! The answer is written in the transaction of the change that it tells of. So nothing that was refused is ever kept, and no
//! change is without its answer. A copy that comes meanwhile waits for the profile's row, as every writer does, and finds the
//! answer then.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::Duration;

use crate::{Refusal, writing::Writing};

/// What tells a request that was sent again from another one.
#[derive(Clone)]
pub struct Attempt {
    /// Method and path. A key means something to one user, on one route.
    route: &'static str,
    key: String,
    request: [u8; 32],
}

/// What was answered to whoever made something.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    pub location: String,
    pub etag: String,
    /// JSON.
    pub body: String,
}

/// How long a key stands for its request.
pub(crate) const KEPT: Duration = Duration::hours(24);

impl Attempt {
    /// `body` is JSON; neither blanks between its parts nor the order of its fields make another request.
    pub fn new(route: &'static str, key: String, body: &[u8]) -> Result<Self, serde_json::Error> {
        let canonical = serde_json::from_slice::<serde_json::Value>(body)?.to_string();
        let mut request = [0; 32];
        request.copy_from_slice(&Sha256::digest(canonical.as_bytes()));
        Ok(Self { route, key, request })
    }
}

impl Writing<'_> {
    /// What was answered to this request before.
    pub async fn earlier(&mut self, attempt: &Attempt) -> Result<Option<Made>, Refusal> {
        let (user, since) = (self.user(), self.now() - KEPT);
        let found = sqlx::query!(
            "SELECT request_sha256, location, etag, body FROM idempotency_keys
              WHERE user_id = $1 AND route = $2 AND key = $3 AND created_at > $4",
            user,
            attempt.route,
            attempt.key,
            since,
        );
        match found.fetch_optional(self.connection()).await? {
            None => Ok(None),
            Some(found) if found.request_sha256 != attempt.request => Err(Refusal::KeyReused),
            Some(found) => Ok(Some(Made { location: found.location, etag: found.etag, body: found.body })),
        }
    }

    /// The row is there already where the key stood for another request, longer ago.
    pub async fn keep(&mut self, attempt: &Attempt, made: &Made) -> Result<(), Refusal> {
        let (user, now) = (self.user(), self.now());
        let connection: &mut PgConnection = self.connection();
        sqlx::query!(
            "INSERT INTO idempotency_keys (user_id, route, key, request_sha256, location, etag, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (user_id, route, key) DO UPDATE
                SET request_sha256 = excluded.request_sha256, location = excluded.location, etag = excluded.etag,
                    body = excluded.body, created_at = excluded.created_at",
            user,
            attempt.route,
            attempt.key,
            &attempt.request[..],
            made.location,
            made.etag,
            made.body,
            now,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
