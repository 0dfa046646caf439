//! A dependency that is down: stop polling, hold what is in hand, and probe the dependency itself.
//!
//! SQS counts every receive, also of a message that is released at once. Retrying through the queue while a database is
//! down would therefore dead-letter healthy messages, twenty receives later. A message in hand costs nothing.

use std::time::Duration;

use metrics::gauge;
use sqlx::PgPool;
use tokio::{sync::watch, time::Instant};

/// How many batches wait for a dependency. Polling stops while there is any.
#[derive(Debug, Clone)]
pub(crate) struct Outages(watch::Sender<usize>);

/// One batch's wait. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Outage {
    outages: Outages,
    pub since: Instant,
    pub probes: u32,
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Outages {
    pub fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    pub fn begin(&self) -> Outage {
        self.0.send_modify(|waiting| *waiting += 1);
        gauge!("worker_outage").set(1.0);
        Outage { outages: self.clone(), since: Instant::now(), probes: 0 }
    }

    pub fn is_any(&self) -> bool {
        *self.0.borrow() > 0
    }

    pub async fn over(&self) {
        let mut waiting = self.0.subscribe();
        // The sender lives in `self`, so this can't fail.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        self.outages.0.send_modify(|waiting| *waiting -= 1);
        if !self.outages.is_any() {
            gauge!("worker_outage").set(0.0);
        }
    }
}

pub(crate) async fn database_answers(pool: &PgPool) -> bool {
    let probe = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(pool);
    matches!(tokio::time::timeout(PROBE_TIMEOUT, probe).await, Ok(Ok(1)))
}
