//! Where everything is kept: the primary, which decides, and a replica for lists, which may be behind.

use std::{collections::HashSet, sync::Arc, time::Duration};

use metrics::counter;
use schemas::Clock;
use service::{ErrorChain, postgres::Pool};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{sync::OnceCell, time::timeout};

use crate::Refusal;

/// What every use case works on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) replica: Option<Pool>,
    clock: Clock,
    time_zones: Arc<OnceCell<HashSet<String>>>,
}

/// How long a list waits for the replica before it is read from the primary.
const PATIENCE: Duration = Duration::from_secs(1);

impl Store {
    /// Without a replica, everything is read from `pool`.
    pub fn new(pool: PgPool, replica: Option<PgPool>, clock: Clock) -> Self {
        Self { pool: Pool::new(pool), replica: replica.map(Pool::new), clock, time_zones: Arc::default() }
    }

    /// In whole microseconds, as PostgreSQL keeps it.
    pub fn now(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now - time::Duration::nanoseconds((now.nanosecond() % 1_000).into())
    }

    /// What may be a moment old: from the replica, or where that can't say it, from the primary.
    pub(crate) async fn list<T, F>(&self, read: impl Fn(Pool) -> F) -> Result<Vec<T>, Refusal>
    where
        F: Future<Output = Result<Vec<T>, sqlx::Error>>,
    {
        if let Some(replica) = &self.replica {
            let failed = match timeout(PATIENCE, read(replica.clone())).await {
                Ok(Ok(items)) => return Ok(items),
                Ok(Err(error)) => ErrorChain(&error).to_string(),
                Err(_) => format!("no answer within {} ms", PATIENCE.as_millis()),
            };
            counter!("replica_fallbacks_total").increment(1);
            tracing::warn!(error = failed, "a list is read from the primary, and not from the replica");
        }
        Ok(read(self.pool.clone()).await?)
    }

    /// Whether PostgreSQL's time zones, which are the IANA's, have this one. Read once: it looks through a thousand files.
    pub(crate) async fn knows_time_zone(&self, name: &str) -> Result<bool, Refusal> {
        let known = self.time_zones.get_or_try_init(async || {
            let names = sqlx::query_scalar!(
                r#"SELECT name AS "name!" FROM pg_timezone_names
                    WHERE name !~ '^(posix|right)/' AND name NOT IN ('Factory', 'localtime', 'posixrules')"#
            );
            Ok::<_, sqlx::Error>(names.fetch_all(&self.pool).await?.into_iter().collect())
        });
        Ok(known.await?.contains(name))
    }
}
