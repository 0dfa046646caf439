use sqlx::PgExecutor;

use crate::{ErrorChain, health::Condition};

/// Whether the pool can answer a query now, for [`crate::health`].
pub async fn check(pool: impl PgExecutor<'_>) -> Condition {
    match sqlx::query("SELECT 1").execute(pool).await {
        Ok(_) => Condition::Ok,
        Err(error) => {
            tracing::debug!(error = %ErrorChain(&error), "the database check failed");
            Condition::Down("no answer from the database")
        }
    }
}

/// Whether the database is at fault and not the query: it is away, starting, stopping, full, or a standby after a
/// fail-over. What was not committed may be tried again later.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Connection exceptions, insufficient resources, operator intervention; read-only transaction.
            ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "25006"
        }),
        _ => false,
    }
}
