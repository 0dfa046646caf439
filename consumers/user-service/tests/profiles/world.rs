use fixtures::{TestDatabase, user_database};
use outbox::OUTBOX;
use schemas::{Clock, Envelope};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;
use worker::{Outcome, WorkerSettings, testing::Harness};

use crate::events::NOON;

/// user-service on a database of its own, at noon.
pub struct World {
    pub database: TestDatabase,
    harness: Harness,
}

pub async fn world() -> World {
    let database = user_database().await;
    partitions::maintain(&database.pool, OUTBOX, NOON).await.unwrap();
    let harness = worker(&database).await;
    World { database, harness }
}

/// One more worker on that database.
pub async fn worker(database: &TestDatabase) -> Harness {
    let clock = Clock::reading(|| NOON);
    let (consumer, settings) = (user_service::consumer(clock.clone()), WorkerSettings::new("harness", "0.0.0"));
    Harness::with(consumer, database.pool.clone(), settings, clock).await.unwrap()
}

impl World {
    pub async fn deliver(&self, envelopes: &[Envelope]) -> Vec<Outcome> {
        self.harness.deliver(envelopes).await
    }

    pub async fn deliver_bodies(&self, bodies: Vec<String>) -> Vec<Outcome> {
        self.harness.deliver_bodies(bodies).await
    }

    pub async fn deliver_one(&self, envelope: &Envelope) -> Outcome {
        self.deliver(std::slice::from_ref(envelope)).await.pop().unwrap()
    }

    pub async fn execute(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    /// No profile, no product, no event, no answer is there any more. Deleted, since truncating weeks takes longer than all of a test.
    pub async fn forget_everything(&self) {
        let tables = ["event_logs", "outbox", "products", "user_profiles"].map(|table| format!("DELETE FROM {table}"));
        self.execute(&tables.join(";")).await;
    }

    /// All profiles, by their users, without the times at which the rows were written.
    pub async fn rows(&self) -> Vec<Value> {
        let rows = "SELECT to_jsonb(p) - 'created_at' - 'updated_at' FROM user_profiles p ORDER BY user_id";
        sqlx::query_scalar(rows).fetch_all(&self.database.pool).await.unwrap()
    }

    pub async fn row(&self) -> Value {
        let mut rows = self.rows().await;
        assert_eq!(rows.len(), 1);
        rows.pop().unwrap()
    }

    /// All products, by their ids, without the times at which the rows were written.
    pub async fn products(&self) -> Vec<Value> {
        let rows = "SELECT to_jsonb(p) - 'updated_at' FROM products p ORDER BY product_id";
        sqlx::query_scalar(rows).fetch_all(&self.database.pool).await.unwrap()
    }

    /// What was answered: the events in the outbox, in the order of their versions.
    pub async fn answers(&self) -> Vec<Value> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT envelope FROM outbox ORDER BY subject, envelope::jsonb->>'sequence'")
                .fetch_all(&self.database.pool)
                .await
                .unwrap();
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    /// Of whom, and for which erasure.
    pub async fn answered(&self) -> Vec<(Uuid, Uuid)> {
        let id = |answer: &Value, field: &str| answer["data"][field].as_str().unwrap().parse().unwrap();
        self.answers().await.iter().map(|answer| (id(answer, "userId"), id(answer, "erasureId"))).collect()
    }
}
