//! `user.created` → a row in `user_profiles`.

use std::collections::HashSet;

use async_trait::async_trait;
use schemas::UserCreatedV2;
use sqlx::PgConnection;
use worker::{ApplyEvents, HandlerError, Received, Verdict};

/// Records who registered, with the address they registered with.
#[derive(Debug, Clone, Copy)]
pub struct RecordProfile;

#[async_trait]
impl ApplyEvents for RecordProfile {
    type Event = UserCreatedV2;

    const NAME: &'static str = "record_profile";
    const READS: &'static [&'static str] = &["/userId", "/email", "/timestamp"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, UserCreatedV2>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let versioned: Vec<_> =
            events.iter().filter_map(|received| Some((received.sequence?.get(), received.event))).collect();
        let sequences: Vec<_> = versioned.iter().map(|(sequence, _)| *sequence).collect();
        let users: Vec<_> = versioned.iter().map(|(_, event)| event.user_id).collect();
        let emails: Vec<_> = versioned.iter().map(|(_, event)| event.email.as_str()).collect();
        let registered: Vec<_> = versioned.iter().map(|(_, event)| event.timestamp).collect();

        // Two groups of columns: the address is the newest one seen; when the user registered is the earliest one seen,
        // whatever came first. Rows are locked in the order of their ids. An erased user stays erased.
        let changed: HashSet<_> = sqlx::query_scalar!(
            r#"WITH newest AS (
                 SELECT DISTINCT ON (user_id) user_id, email, sequence,
                        min(registered_at) OVER (PARTITION BY user_id) AS registered_at
                   FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::timestamptz[])
                        AS event (user_id, email, sequence, registered_at)
                  ORDER BY user_id, sequence DESC
             ), changed AS (
                 INSERT INTO user_profiles AS profile (user_id, email, email_sequence, registered_at)
                 SELECT user_id, email, sequence, registered_at FROM newest ORDER BY user_id
                     ON CONFLICT (user_id) DO UPDATE
                    SET email = CASE WHEN excluded.email_sequence > profile.email_sequence
                                     THEN excluded.email ELSE profile.email END,
                        email_sequence = greatest(profile.email_sequence, excluded.email_sequence),
                        registered_at = least(profile.registered_at, excluded.registered_at),
                        updated_at = now()
                  WHERE profile.status <> 'deleted'
                    AND (excluded.email_sequence > profile.email_sequence
                         OR profile.registered_at IS NULL OR excluded.registered_at < profile.registered_at)
              RETURNING user_id
             )
             SELECT coalesce(array_agg(user_id), '{}') AS "users!" FROM changed"#,
            &users,
            &emails as &[&str],
            &sequences,
            &registered,
        )
        .fetch_one(connection)
        .await?
        .into_iter()
        .collect();

        let verdict = |received: &Received<'_, UserCreatedV2>| match received.sequence {
            None => Verdict::Reject("the event has no `sequence`, so its age can't be told".into()),
            Some(_) if changed.contains(&received.event.user_id) => Verdict::Applied,
            Some(_) => Verdict::Stale,
        };
        Ok(events.iter().map(verdict).collect())
    }
}
