use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::{publisher::PostgresPublisher, queue::PostgresQueue, waking::Waking};
use crate::{
    Bus, BusError, ConnectError, ConsumerFacts, Difference, Extra, MoveProgress, MoveTask, Names, Permission, Prune,
    Publisher, Queue, Subscriber, Topology, TopologyError, bus::until_it_answers,
};

/// Topics and queues in one database.
#[derive(Clone)]
pub struct PostgresBus {
    pub(super) pool: PgPool,
    pub(super) names: Names,
    place: String,
    waking: Arc<Waking>,
}

impl PostgresBus {
    /// `pool` is used for a moment at a time, however long receives wait. Listening takes one more connection, which is
    /// opened with the first queue and can't go through a pooler that shares connections between transactions.
    pub fn new(pool: PgPool, names: Names) -> Self {
        let options = pool.connect_options();
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let place = format!("the bus in {database} at {}:{}", options.get_host(), options.get_port());
        let waking = Arc::new(Waking::new(PgConnectOptions::clone(&options)));
        Self { pool, names, place, waking }
    }

    async fn ping(&self) -> Result<(), BusError> {
        const UNDEFINED_TABLE: &str = "42P01";
        let asked = sqlx::query_scalar!("SELECT count(*) FROM bus.queues").fetch_one(&self.pool).await;
        asked.map(drop).map_err(|error| {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            let cause = match code.is_some_and(|code| code == UNDEFINED_TABLE) {
                true => "there are no tables for queues: run `waypost migrate`".into(),
                false => Box::<dyn std::error::Error + Send + Sync>::from(error),
            };
            BusError::new("looking for queues", &self.place, cause)
        })
    }
}

#[async_trait]
impl Bus for PostgresBus {
    fn names(&self) -> &Names {
        &self.names
    }

    async fn wait_until_ready(&self, patience: Duration) -> Result<(), ConnectError> {
        until_it_answers(&self.place, patience, || self.ping()).await
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(PostgresPublisher::new(self.pool.clone(), self.names.clone()))
    }

    async fn queue(&self, name: &str) -> Result<Arc<dyn Queue>, BusError> {
        let found = sqlx::query!("SELECT name FROM bus.queues WHERE name = $1", name).fetch_optional(&self.pool).await;
        let found = found.map_err(|error| BusError::new("looking for the queue", name, error))?;
        if found.is_none() {
            let missing = "there is no such queue: run `waypost topology apply`";
            return Err(BusError::new("looking for the queue", name, missing));
        }
        Ok(Arc::new(PostgresQueue::new(name.to_owned(), self.pool.clone(), self.waking.clone())))
    }

    async fn inspect(&self, consumer: &str) -> Result<ConsumerFacts, BusError> {
        self.inspect_consumer(consumer).await
    }

    /// Whoever may connect may do everything: the bus has one role.
    async fn try_permissions(&self, _consumer: &str) -> Result<Vec<Permission>, BusError> {
        Ok(Vec::new())
    }

    async fn start_move(&self, from: &str, _to: &str, _per_second: Option<NonZeroU32>) -> Result<MoveTask, BusError> {
        Err(no_moves(from))
    }

    async fn cancel_move(&self, _task: &MoveTask) -> Result<(), BusError> {
        Err(no_moves("the bus"))
    }

    async fn move_progress(&self, _from: &str) -> Result<Option<MoveProgress>, BusError> {
        Ok(None)
    }

    async fn apply(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        self.apply_topology(topology).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        self.verify_topology(topology).await
    }

    async fn extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        self.find_extras(topology, prune).await
    }

    async fn prune(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        self.prune_extras(topology, prune).await
    }

    async fn remove(&self, topology: &Topology) -> Result<(), TopologyError> {
        self.remove_topology(topology).await
    }

    async fn remove_subscriber(&self, subscriber: &Subscriber) -> Result<(), TopologyError> {
        self.remove_consumer(subscriber).await
    }
}

fn no_moves(target: &str) -> BusError {
    BusError::new("moving a queue", target, "the bus in PostgreSQL moves nothing by itself; SQS does")
}

impl fmt::Debug for PostgresBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBus").field("place", &self.place).field("names", &self.names).finish_non_exhaustive()
    }
}
