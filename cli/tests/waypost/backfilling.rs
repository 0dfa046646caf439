//! A consumer that was emptied is told what is so, and is what it was.

mod accounts;
mod going_on;
mod products;
mod refusing;

use fixtures::{TestBus, TestDatabase};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::process::Child;

use crate::running::{Installation, free_port};

/// Both services whose state can be told, and who keeps it.
struct World {
    installation: Installation,
    product: TestDatabase,
}

impl World {
    async fn make(bus: TestBus) -> Self {
        let (installation, product) = tokio::join!(Installation::make(bus), fixtures::product_database());
        Self { installation, product }
    }

    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let product = ("PRODUCT_DATABASE_URL", self.product.url.clone());
        let environment: Vec<_> = self.installation.environment().into_iter().chain([product]).collect();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        crate::run(arguments, &environment).await
    }

    async fn backfill(&self, service: &str, more: &[&str]) -> (i32, String, String) {
        let arguments = ["events", "backfill", "--service", service, "--to", "user-service", "--json"];
        self.run(&[&arguments, more].concat()).await
    }

    /// What is told of one that came to its end.
    async fn backfilled(&self, service: &str, more: &[&str]) -> Value {
        let (code, stdout, stderr) = self.backfill(service, more).await;
        assert_eq!(code, 0, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&report["how"], &report["why"]), (&"ended".into(), &Value::Null), "{report}");
        report
    }

    async fn worker(&self) -> Child {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        self.installation.start(&["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", listen.as_str())], port).await
    }

    /// Everything in the queue is applied, or passed over; nothing is refused.
    async fn until_applied(&self) {
        fixtures::until_empty(&*self.installation.bus.queue("user-service").await).await;
        let dead = self.installation.bus.queue("user-service-dlq").await.counts().await.unwrap();
        assert_eq!((dead.visible, dead.in_flight), (0, 0));
    }

    /// Nothing is known to user-service any more, not even which events it has seen.
    async fn empty(&self) {
        let tables = ["event_logs", "outbox", "products", "user_profiles"].map(|table| format!("DELETE FROM {table}"));
        sqlx::raw_sql(AssertSqlSafe(tables.join(";"))).execute(&self.installation.user.pool).await.unwrap();
    }

    /// All rows of a table of user-service in the order of their keys, but for these columns.
    async fn rows(&self, table: &str, key: &str, but: &str) -> Vec<Value> {
        let rows = format!("SELECT to_jsonb(t) - '{{{but}}}'::text[] FROM {table} t ORDER BY {key}");
        sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&self.installation.user.pool).await.unwrap()
    }

    async fn products(&self) -> Vec<Value> {
        self.rows("products", "product_id", "updated_at").await
    }

    /// How many events user-service has applied or passed over.
    async fn events_seen(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM event_logs").fetch_one(&self.installation.user.pool).await.unwrap()
    }
}

/// Many products, made all at once: each has a number for its name and its price.
async fn with_products(world: &World, count: i32) {
    sqlx::query(
        "INSERT INTO products (id, sku, name, price_minor, currency, status, sequence, created_at, updated_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'SKU-' || n, 'Product ' || n, n, 'EUR',
                CASE n % 3 WHEN 0 THEN 'discontinued' WHEN 1 THEN 'unavailable' ELSE 'available' END,
                1700000000000000 + n, now(), now()
           FROM generate_series(1, $1) n",
    )
    .bind(count)
    .execute(&world.product.pool)
    .await
    .unwrap();
}
