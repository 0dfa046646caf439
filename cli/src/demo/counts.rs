//! The truth about a run: counted from its databases and queues, and from nothing else.

use std::collections::HashSet;

use redrive::{Look, Snapshot};
use schemas::{Event, UserCreatedV2};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::scratch::Scratch;

/// Events are those that say of a registration, of which there is one for each account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub registered: i64,
    pub published: i64,
    pub applied: i64,
    pub duplicates_ignored: i64,
    pub dead_lettered: i64,
    pub replayed: i64,
    pub lost: i64,
    pub applied_twice: i64,
    /// Events that ask for a mail, and those that were mailed.
    pub mails_asked_for: i64,
    pub mailed: i64,
    pub events_per_second: f64,
    pub end_to_end_ms: Latencies,
    /// Outbox rows that are not published yet.
    #[serde(skip)]
    pub unpublished: i64,
    /// Messages in the queue, visible or in flight.
    #[serde(skip)]
    pub waiting: i64,
    /// Messages in the dead-letter queue.
    #[serde(skip)]
    pub dead_letters: i64,
}

/// Of events that went straight through: what waited for somebody to replay it says nothing about speed.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latencies {
    pub p50: f64,
    pub p99: f64,
}

impl Counts {
    pub fn promise_kept(&self) -> bool {
        self.lost == 0 && self.applied_twice == 0 && self.mailed == self.mails_asked_for
    }
}

impl Scratch {
    pub async fn count(&self) -> anyhow::Result<Counts> {
        let (registered, published, unpublished): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM users),
                    (SELECT count(*) FROM outbox WHERE status = 'published' AND event_type = $1),
                    (SELECT count(*) FROM outbox WHERE status <> 'published')",
        )
        .bind(UserCreatedV2::TYPE.as_str())
        .fetch_one(&self.auth.pool)
        .await?;
        let mailed_types: Vec<_> = mailer::declared().events().iter().map(|event| event.as_str()).collect();
        // What an erasure took from the outbox before it was published asks for nothing any more.
        let mails_asked_for = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE event_type = ANY($1)")
            .bind(mailed_types)
            .fetch_one(&self.auth.pool)
            .await?;
        let mailed = sqlx::query_scalar("SELECT count(*) FROM event_logs").fetch_one(&self.mailer.pool).await?;
        let (applied, duplicates_ignored, replayed, applied_twice): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT count(*),
                    coalesce(sum(redeliveries), 0)::int8,
                    count(*) FILTER (WHERE event_key IN (SELECT event_key FROM event_failures WHERE dead_lettered)),
                    (SELECT count(*) FROM (SELECT FROM demo_witness GROUP BY user_id HAVING count(*) > 1) AS twice)
               FROM event_logs
              WHERE event_type = $1",
        )
        .bind(UserCreatedV2::TYPE.as_str())
        .fetch_one(&self.user.pool)
        .await?;
        let (seconds, p50, p99): (f64, f64, f64) = sqlx::query_as(
            "SELECT coalesce(extract(epoch FROM max(applied_at) - min(event_time)), 0)::float8,
                    coalesce(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY age), 0)::float8,
                    coalesce(1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY age), 0)::float8
               FROM (SELECT applied_at, event_time, extract(epoch FROM applied_at - event_time)::float8 AS age
                       FROM event_logs
                      WHERE event_type = $1
                        AND event_key NOT IN
                            (SELECT event_key FROM event_failures WHERE dead_lettered AND event_key IS NOT NULL)
                    ) AS straight",
        )
        .bind(UserCreatedV2::TYPE.as_str())
        .fetch_one(&self.user.pool)
        .await?;
        let (queue, dead) = tokio::try_join!(self.queue.counts(), self.dead_letters.counts())?;
        let rate = if seconds > 0.0 { applied as f64 / seconds } else { 0.0 };
        Ok(Counts {
            registered,
            published,
            applied,
            duplicates_ignored,
            dead_lettered: 0,
            replayed,
            lost: self.lost().await?,
            applied_twice,
            mails_asked_for,
            mailed,
            events_per_second: round(rate),
            end_to_end_ms: Latencies { p50: round(p50), p99: round(p99) },
            unpublished,
            waiting: (queue.visible + queue.in_flight) as i64,
            dead_letters: (dead.visible + dead.in_flight) as i64,
        })
    }

    /// Accounts without a profile, wherever their event got stuck.
    async fn lost(&self) -> anyhow::Result<i64> {
        let accounts: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users").fetch_all(&self.auth.pool).await?;
        let profiles: HashSet<Uuid> = sqlx::query_scalar("SELECT user_id FROM user_profiles")
            .fetch_all(&self.user.pool)
            .await?
            .into_iter()
            .collect();
        Ok(accounts.iter().filter(|id| !profiles.contains(id)).count() as i64)
    }

    /// Distinct dead letters: as many as a reader of the queue would see.
    pub async fn dead_letters(&self) -> anyhow::Result<i64> {
        let queue = self.bus.queue(&self.bus.names().dead_letter_queue(user_service::NAME)).await?;
        let read = Snapshot::take(queue, Look::default(), &CancellationToken::new(), |_, _| {}).await?;
        read.hand_back().await;
        Ok(read.letters() as i64)
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
