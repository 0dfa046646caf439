//! What is kept for how long, and what takes it away: answers to requests that may be sent again, for a day.
//!
//! Any instance may do it at any time; each statement takes a bounded number of rows, and is repeated while there are more.

use std::{convert::Infallible, time::Duration as StdDuration};

use metrics::counter;
use service::ErrorChain;
use service::postgres::Pool;
use time::OffsetDateTime;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{Refusal, Store, idempotency::KEPT};

const AT_A_TIME: i64 = 1_000;
const EVERY: StdDuration = StdDuration::from_secs(3_600);

/// Does it once; answers how many rows went.
pub async fn take_away(pool: &Pool, now: OffsetDateTime) -> Result<u64, Refusal> {
    let mut taken = 0;
    loop {
        let deleted = sqlx::query!(
            "DELETE FROM idempotency_keys WHERE (user_id, route, key) IN
                 (SELECT user_id, route, key FROM idempotency_keys
                   WHERE created_at <= $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now - KEPT,
            AT_A_TIME
        )
        .execute(pool)
        .await?
        .rows_affected();
        counter!("retention_rows_total", "what" => "idempotency-keys").increment(deleted);
        taken += deleted;
        if deleted < AT_A_TIME as u64 {
            return Ok(taken);
        }
    }
}

/// Does it each hour until `soft`.
pub async fn keep(store: Store, soft: CancellationToken) -> Result<(), Infallible> {
    let mut ticks = interval(EVERY);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        match take_away(&store.pool, store.now()).await {
            Ok(0) => {}
            Ok(answers) => tracing::info!(answers, "what is too old was taken away"),
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "what is too old could not be taken away"),
        }
    }
    Ok(())
}
