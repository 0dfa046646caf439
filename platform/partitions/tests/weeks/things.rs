//! A table partitioned by week, in a database of one test's own.

use fixtures::TestDatabase;
use partitions::{PartitionError, Table, Week, smallest_key};
use sqlx::{AssertSqlSafe, PgPool};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

/// The last moment of a week: the next one starts a millisecond later.
pub const SUNDAY: OffsetDateTime = datetime!(2026-11-22 23:59:59.999 UTC);

pub const THINGS: Table = Table { name: "things", keep: Duration::days(14), hold: None };

pub struct Things {
    pub database: TestDatabase,
}

pub async fn things() -> Things {
    let database = fixtures::user_database().await;
    sqlx::query("CREATE TABLE things (id uuid PRIMARY KEY, note text NOT NULL) PARTITION BY RANGE (id)")
        .execute(&database.pool)
        .await
        .unwrap();
    Things { database }
}

/// A key of the very instant, unlike any other.
pub fn key(at: OffsetDateTime) -> Uuid {
    let random = Uuid::new_v4().as_u128() & u128::from(u64::MAX);
    Uuid::from_u128(smallest_key(at).as_u128() | (7 << 76) | (2 << 62) | (random >> 2))
}

/// Every week from that of `first` to that of `last`.
pub fn weeks(first: OffsetDateTime, last: OffsetDateTime) -> Vec<Week> {
    let mut weeks = vec![Week::of(first)];
    while weeks[weeks.len() - 1] < Week::of(last) {
        weeks.push(weeks[weeks.len() - 1].plus(1));
    }
    weeks
}

impl Things {
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub async fn maintain(&self, now: OffsetDateTime) -> Result<partitions::Maintained, PartitionError> {
        partitions::maintain(self.pool(), THINGS, now).await
    }

    pub async fn insert(&self, at: OffsetDateTime, note: &str) -> Result<Uuid, sqlx::Error> {
        let id = key(at);
        sqlx::query("INSERT INTO things VALUES ($1, $2)").bind(id).bind(note).execute(self.pool()).await?;
        Ok(id)
    }

    /// Notes with the place and the transaction that wrote them, so that a rewritten row is another row.
    pub async fn rows(&self) -> Vec<(String, String, String)> {
        sqlx::query_as("SELECT note, tableoid::regclass::text || ctid::text, xmin::text FROM things ORDER BY id")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    pub async fn notes(&self) -> Vec<String> {
        self.rows().await.into_iter().map(|(note, ..)| note).collect()
    }

    /// Partitions by name, with the identity that a partition made anew would not have.
    pub async fn partitions(&self) -> Vec<(String, i64)> {
        sqlx::query_as(
            "SELECT c.relname::text, c.oid::int8 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'things'::regclass ORDER BY 1",
        )
        .fetch_all(self.pool())
        .await
        .unwrap()
    }

    pub async fn partition_names(&self) -> Vec<String> {
        self.partitions().await.into_iter().map(|(name, _)| name).collect()
    }

    /// How many wait for a lock in this database.
    pub async fn waiting(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(self.pool())
        .await
        .unwrap()
    }

    pub async fn execute(&self, sql: impl Into<String>) {
        sqlx::query(AssertSqlSafe(sql.into())).execute(self.pool()).await.unwrap();
    }
}

/// No partition takes the key (PostgreSQL's `check_violation`).
pub fn is_refused(inserted: Result<Uuid, sqlx::Error>) -> bool {
    let error = inserted.map_err(|error| error.into_database_error().unwrap());
    error.is_err_and(|error| error.code().as_deref() == Some("23514"))
}
