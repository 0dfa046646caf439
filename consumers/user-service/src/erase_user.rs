//! `user.deleted` → nothing here tells of the user any more, and `user.erasure.completed` says so.
//!
//! All of it is the handler's one transaction: the tombstone, what goes from every table, the answer in the outbox. Whoever
//! asks again, under another event, is answered again: an answer may have been lost, and an erasure may have another id.
//!
//! The relay isn't woken, since nothing here knows when the worker commits. It looks each second, and nobody waits for less.

use std::collections::BTreeMap;

use async_trait::async_trait;
use redrive::archive;
use schemas::{
    Clock, Envelope, Header, Sequence, ServiceName, TokenVersion, UserDeletedV1, UserErasureCompletedV1, event_id,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::{ApplyEvents, HandlerError, Received, Verdict};

use crate::{NAME, record::UNVERSIONED};

/// Erases what is kept of a user, and answers.
#[derive(Debug)]
pub(crate) struct EraseUser {
    clock: Clock,
}

impl EraseUser {
    pub fn by(clock: Clock) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl ApplyEvents for EraseUser {
    type Event = UserDeletedV1;

    const NAME: &'static str = "erase_user";
    const READS: &'static [&'static str] = &["/erasureId", "/userId"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, UserDeletedV1>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let versioned = || events.iter().filter_map(|Received { event, sequence, .. }| Some((event, (*sequence)?)));
        let mut gone: BTreeMap<Uuid, Sequence> = BTreeMap::new();
        for (event, sequence) in versioned() {
            let newest = gone.entry(event.user_id).or_insert(sequence);
            *newest = sequence.max(*newest);
        }
        if !gone.is_empty() {
            // First: this locks the rows, in the order of their ids, that everybody locks who writes anything of a user.
            let mut answered = make_tombstones(&mut *connection, &gone).await?;
            let users: Vec<_> = gone.keys().copied().collect();
            delete_rows(&mut *connection, &users).await?;
            let now = self.clock.now();
            for (event, _) in versioned() {
                let last = answered.get_mut(&event.user_id).ok_or_else(|| {
                    HandlerError::unclassified(format!("no row stands for the erased user {}", event.user_id))
                })?;
                *last = Sequence::after(Some(*last), now);
                answer(&mut *connection, event, *last, now).await?;
            }
            keep_sequences(connection, &answered).await?;
        }
        let verdict = |received: &Received<'_, UserDeletedV1>| match received.sequence {
            None => Verdict::Reject(UNVERSIONED.into()),
            Some(_) => Verdict::Applied,
        };
        Ok(events.iter().map(verdict).collect())
    }
}

/// Makes each user's row a tombstone, and makes it where it isn't there. Answers the versions of the events that were sent of
/// them so far.
///
/// No version falls behind the deletion's, and no access token is good any more. So a tombstone says the same whatever came
/// before it.
async fn make_tombstones(
    connection: &mut PgConnection,
    gone: &BTreeMap<Uuid, Sequence>,
) -> Result<BTreeMap<Uuid, Sequence>, sqlx::Error> {
    let users: Vec<_> = gone.keys().copied().collect();
    let sequences: Vec<_> = gone.values().map(|sequence| sequence.get()).collect();
    let rows = sqlx::query!(
        "INSERT INTO user_profiles AS profile
                (user_id, status, email_sequence, roles_sequence, status_sequence, min_token_version)
         SELECT user_id, 'deleted', sequence, sequence, sequence, $3
           FROM unnest($1::uuid[], $2::int8[]) AS gone (user_id, sequence)
          ORDER BY user_id
             ON CONFLICT (user_id) DO UPDATE
            SET status = 'deleted', email = NULL, email_verified = NULL, roles = NULL, deactivation_reason = NULL,
                registered_at = NULL, display_name = NULL, display_name_edited = false, edit_version = 0,
                email_sequence = greatest(profile.email_sequence, excluded.email_sequence),
                roles_sequence = greatest(profile.roles_sequence, excluded.roles_sequence),
                status_sequence = greatest(profile.status_sequence, excluded.status_sequence),
                min_token_version = excluded.min_token_version,
                updated_at = now()
         RETURNING user_id, sequence",
        &users,
        &sequences,
        TokenVersion::MAX.get(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, Sequence::from_stored(row.sequence))).collect())
}

/// Whatever else is kept of these users. A table that is to hold personal data is added here.
async fn delete_rows(connection: &mut PgConnection, users: &[Uuid]) -> Result<(), sqlx::Error> {
    for statement in [
        sqlx::query!("DELETE FROM addresses WHERE user_id = ANY($1)", users),
        sqlx::query!("DELETE FROM payment_methods WHERE user_id = ANY($1)", users),
        sqlx::query!("DELETE FROM user_preferences WHERE user_id = ANY($1)", users),
        sqlx::query!("DELETE FROM wishlist_items WHERE user_id = ANY($1)", users),
        sqlx::query!("DELETE FROM idempotency_keys WHERE user_id = ANY($1)", users),
    ] {
        statement.execute(&mut *connection).await?;
    }
    let subjects: Vec<_> = users.iter().map(Uuid::to_string).collect();
    archive::erase_subjects(connection, &subjects).await.map(drop)
}

async fn answer(
    connection: &mut PgConnection,
    asked: &UserDeletedV1,
    sequence: Sequence,
    now: OffsetDateTime,
) -> Result<(), HandlerError> {
    let event = UserErasureCompletedV1 {
        user_id: asked.user_id,
        timestamp: now,
        source: ServiceName::USER_SERVICE,
        erasure_id: asked.erasure_id,
        service: ServiceName::USER_SERVICE,
    };
    let header = Header { id: event_id(now), source: NAME, time: now, sequence, traceparent: None };
    let envelope = Envelope::new(&event, header).map_err(HandlerError::unclassified)?;
    outbox::append(connection, &envelope).await.map_err(|error| match error {
        outbox::AppendError::Database(error) => HandlerError::Database(error),
        other => HandlerError::unclassified(other),
    })
}

/// The rows are locked already.
async fn keep_sequences(connection: &mut PgConnection, answered: &BTreeMap<Uuid, Sequence>) -> Result<(), sqlx::Error> {
    let users: Vec<_> = answered.keys().copied().collect();
    let sequences: Vec<_> = answered.values().map(|sequence| sequence.get()).collect();
    sqlx::query!(
        "UPDATE user_profiles SET sequence = answered.sequence
           FROM unnest($1::uuid[], $2::int8[]) AS answered (user_id, sequence)
          WHERE user_profiles.user_id = answered.user_id",
        &users,
        &sequences,
    )
    .execute(connection)
    .await
    .map(drop)
}
