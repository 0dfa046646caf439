//! Accounts with their events, many to a transaction, and a note of those whose COMMIT was answered.

use std::sync::{Arc, Mutex};

use chaos::accounts::make_account;
use sqlx::{Connection, PgPool};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub const PER_TRANSACTION: usize = 50;

/// The accounts whose COMMIT was answered.
#[derive(Debug, Clone, Default)]
pub struct Confirmed(Arc<Mutex<Vec<Uuid>>>);

impl Confirmed {
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.0.lock().unwrap().clone()
    }
}

/// Makes this many accounts, or as many as it can before the first error. Each COMMIT takes one of `commits`, and waits
/// for it inside the transaction.
pub async fn produce(pool: PgPool, count: usize, commits: Arc<Semaphore>, confirmed: Confirmed) -> anyhow::Result<()> {
    // One for all, so that its end is noticed; a pool would wait for another.
    let mut connection = pool.acquire().await?;
    let mut left = count;
    while left > 0 {
        let mut ids = Vec::new();
        let mut tx = connection.begin().await?;
        for _ in 0..left.min(PER_TRANSACTION) {
            let email = format!("{}@example.com", Uuid::new_v4());
            ids.push(make_account(&mut tx, &email, |_| {}).await?);
        }
        commits.acquire().await?.forget();
        tx.commit().await?;
        left -= ids.len();
        confirmed.0.lock().unwrap().extend(ids);
    }
    Ok(())
}
