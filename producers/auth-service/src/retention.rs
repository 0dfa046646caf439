//! What is kept for how long, and what takes it away.
//!
//! | What | Kept |
//! | --- | --- |
//! | Tokens by mail that have ended or expired | 7 days |
//! | Sessions with all their refresh tokens, which tell a token that is used again | 7 days beyond the longest that it can last |
//! | Counters of failed sign-ins | 12 hours, but for those that only a reset of the password lifts |
//! | The last part of an IP address in the audit trail | 30 days |
//! | The audit trail | 400 days, or as `AUTH_AUDIT_KEEP_DAYS` says |
//!
//! Any instance may do it at any time; each statement takes a bounded number of rows, and is repeated while there are more.

use std::{convert::Infallible, time::Duration as StdDuration};

use metrics::counter;
use service::ErrorChain;
use service::postgres::Pool;
use time::{Duration, OffsetDateTime};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{Failure, Origin, change::Store, erasure::announce_open};

/// How long the audit trail is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub audit: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { audit: Duration::days(400) }
    }
}

/// Rows that were taken away, or made coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenAway {
    pub mailed_tokens: u64,
    pub sessions: u64,
    pub counters: u64,
    pub ips: u64,
    pub audit: u64,
}

const TOKENS: Duration = Duration::days(7);
const COUNTERS: Duration = Duration::hours(12);
const EXACT_IPS: Duration = Duration::days(30);
const AT_A_TIME: i64 = 1_000;
/// Each takes its refresh tokens along, of which there may be thousands.
const SESSIONS_AT_A_TIME: i64 = 50;
const EVERY: StdDuration = StdDuration::from_secs(3_600);

/// Does it once.
pub async fn take_away(pool: &Pool, retention: Retention, now: OffsetDateTime) -> Result<TakenAway, Failure> {
    let mut taken = TakenAway::default();
    loop {
        let round = TakenAway {
            mailed_tokens: mailed_tokens(pool, now - TOKENS).await?,
            sessions: sessions(pool, now - TOKENS).await?,
            counters: counters(pool, now - COUNTERS).await?,
            ips: ips(pool, now - EXACT_IPS).await?,
            audit: audit(pool, now - retention.audit).await?,
        };
        taken = taken.plus(round);
        let others = [round.mailed_tokens, round.counters, round.ips, round.audit];
        let is_last = others.iter().all(|rows| *rows < AT_A_TIME as u64);
        if is_last && round.sessions < SESSIONS_AT_A_TIME as u64 {
            return Ok(taken);
        }
    }
}

/// Does it each hour until `soft`, and tells services again that have not answered an erasure.
pub async fn keep(store: Store, retention: Retention, soft: CancellationToken) -> Result<(), Infallible> {
    let mut ticks = interval(EVERY);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        match take_away(&store.pool, retention, store.now()).await {
            Ok(taken) if taken != TakenAway::default() => tracing::info!(?taken, "what is too old was taken away"),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "what is too old could not be taken away"),
        }
        match announce_open(&store, &Origin::internal()).await {
            Ok(0) => {}
            Ok(erasures) => {
                tracing::warn!(erasures, "services were told again of erasures that they have not completed");
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "open erasures could not be told again"),
        }
    }
    Ok(())
}

impl TakenAway {
    fn plus(self, other: Self) -> Self {
        for (what, rows) in [
            ("mailed-tokens", other.mailed_tokens),
            ("sessions", other.sessions),
            ("counters", other.counters),
            ("ips", other.ips),
            ("audit", other.audit),
        ] {
            counter!("retention_rows_total", "what" => what).increment(rows);
        }
        Self {
            mailed_tokens: self.mailed_tokens + other.mailed_tokens,
            sessions: self.sessions + other.sessions,
            counters: self.counters + other.counters,
            ips: self.ips + other.ips,
            audit: self.audit + other.audit,
        }
    }
}

async fn mailed_tokens(pool: &Pool, before: OffsetDateTime) -> Result<u64, Failure> {
    let resets = sqlx::query!(
        "DELETE FROM password_reset_tokens WHERE token_hash IN
             (SELECT token_hash FROM password_reset_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        before,
        AT_A_TIME
    )
    .execute(pool)
    .await?;
    let verifications = sqlx::query!(
        "DELETE FROM email_verification_tokens WHERE token_hash IN
             (SELECT token_hash FROM email_verification_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        before,
        AT_A_TIME
    )
    .execute(pool)
    .await?;
    Ok(resets.rows_affected() + verifications.rows_affected())
}

async fn sessions(pool: &Pool, before: OffsetDateTime) -> Result<u64, Failure> {
    // Their refresh tokens go with them.
    let deleted = sqlx::query!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        before,
        SESSIONS_AT_A_TIME
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

async fn counters(pool: &Pool, before: OffsetDateTime) -> Result<u64, Failure> {
    let deleted = sqlx::query!(
        "DELETE FROM rate_limits WHERE key IN
             (SELECT key FROM rate_limits
               WHERE last_at < $1 AND locked_until IS DISTINCT FROM 'infinity' ORDER BY last_at LIMIT $2)",
        before,
        AT_A_TIME
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

async fn ips(pool: &Pool, before: OffsetDateTime) -> Result<u64, Failure> {
    let made_coarser = sqlx::query!(
        "UPDATE security_audit_logs
            SET ip = network(set_masklen(ip, CASE family(ip) WHEN 4 THEN 24 ELSE 48 END))
          WHERE id IN (SELECT id FROM security_audit_logs
                        WHERE at < $1 AND masklen(ip) > CASE family(ip) WHEN 4 THEN 24 ELSE 48 END
                        ORDER BY at LIMIT $2)",
        before,
        AT_A_TIME
    )
    .execute(pool)
    .await?;
    Ok(made_coarser.rows_affected())
}

async fn audit(pool: &Pool, before: OffsetDateTime) -> Result<u64, Failure> {
    let deleted = sqlx::query!(
        "DELETE FROM security_audit_logs WHERE id IN
             (SELECT id FROM security_audit_logs WHERE at < $1 ORDER BY at LIMIT $2)",
        before,
        AT_A_TIME
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
