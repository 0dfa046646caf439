//! Accounts with their events, as auth-service makes them, but without its HTTP and its password hashing: hashing 5,000
//! passwords takes minutes.

use std::sync::{Arc, Mutex};

use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1, event_id};
use sqlx::{Connection, PgConnection, PgPool};
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
            ids.push(make_account(&mut tx).await?);
        }
        commits.acquire().await?.forget();
        tx.commit().await?;
        left -= ids.len();
        confirmed.0.lock().unwrap().extend(ids);
    }
    Ok(())
}

async fn make_account(connection: &mut PgConnection) -> anyhow::Result<Uuid> {
    const SOURCE: &str = auth_service::NAME;
    let now = Clock::system().now();
    let (user_id, sequence) = (event_id(now), Sequence::after(None, now));
    let email = format!("{user_id}@example.com");
    sqlx::query(
        "WITH account AS (
             INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at)
             VALUES ($1, $2, 'none', $3, $4, $4)
             RETURNING id
         )
         INSERT INTO user_roles (user_id, role, granted_at) SELECT id, 'user', $4 FROM account",
    )
    .bind(user_id)
    .bind(&email)
    .bind(sequence.get())
    .bind(now)
    .execute(&mut *connection)
    .await?;
    let event = UserCreatedV1 { user_id, email: email.try_into()?, timestamp: now, source: SOURCE.to_owned() };
    let header = Header { id: event_id(now), source: SOURCE, time: now, sequence, traceparent: None };
    outbox::append(connection, &Envelope::new(&event, header)?).await?;
    Ok(user_id)
}
