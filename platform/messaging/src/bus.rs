use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    BusError, ConsumerFacts, Difference, Extra, MoveProgress, MoveTask, Names, Permission, Prune, Publisher, Queue,
    Subscriber, Topology, TopologyError,
};

/// A place where topics and queues are: SNS and SQS, or PostgreSQL.
#[async_trait]
pub trait Bus: Send + Sync + fmt::Debug {
    fn names(&self) -> &Names;

    /// Waits until the bus answers, telling about it every second, and gives up after `patience`.
    async fn wait_until_ready(&self, patience: Duration) -> Result<(), ConnectError>;

    fn publisher(&self) -> Arc<dyn Publisher>;

    /// The queue called `name`, which has to exist.
    async fn queue(&self, name: &str) -> Result<Arc<dyn Queue>, BusError>;

    /// The queues of one consumer as they are, asking for no more than its worker may. Writes nothing.
    async fn inspect(&self, consumer: &str) -> Result<ConsumerFacts, BusError>;

    /// Which of a worker's calls whoever asks is allowed, as far as trying them does nothing. None where the bus knows
    /// no permissions of its own.
    async fn try_permissions(&self, consumer: &str) -> Result<Vec<Permission>, BusError>;

    /// Has the bus move everything that is in `from` to `to` by itself: a task that goes on without whoever started it. An
    /// error where the bus has no such thing.
    async fn start_move(&self, from: &str, to: &str, per_second: Option<NonZeroU32>) -> Result<MoveTask, BusError>;

    /// Asks for a move's end. What was moved by then stays moved.
    async fn cancel_move(&self, task: &MoveTask) -> Result<(), BusError>;

    /// Of the newest move from a queue, if there ever was one.
    async fn move_progress(&self, from: &str) -> Result<Option<MoveProgress>, BusError>;

    /// Makes what is missing and sets what differs; never deletes. Idempotent. Answers what was different before.
    async fn apply(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError>;

    /// Compares, and writes nothing; an empty answer means that everything is as it should be.
    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError>;

    /// What is marked as this installation's and is not in the topology, with why pruning would leave it. Writes nothing.
    async fn extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError>;

    /// Deletes extras. Answers all of them: those that are kept are still there.
    async fn prune(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError>;

    /// Deletes the queues and topics of a topology, with everything in them. For installations that were made to be
    /// thrown away.
    async fn remove(&self, topology: &Topology) -> Result<(), TopologyError>;

    /// Deletes one consumer's queues, with everything in them, and what delivers to them; never a topic. Idempotent.
    async fn remove_subscriber(&self, subscriber: &Subscriber) -> Result<(), TopologyError>;
}

#[derive(Debug, thiserror::Error)]
#[error("{bus} did not answer within {waited:?}")]
pub struct ConnectError {
    bus: String,
    waited: Duration,
    source: BusError,
}

/// Asks once a second, at least once, until there is an answer or `patience` is at its end.
pub(crate) async fn until_it_answers<F>(bus: &str, patience: Duration, ping: impl Fn() -> F) -> Result<(), ConnectError>
where
    F: Future<Output = Result<(), BusError>>,
{
    let started = tokio::time::Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let Err(source) = ping().await else { return Ok(()) };
        let waited = started.elapsed();
        tracing::info!("waiting for {bus} ({} s of {} s)", waited.as_secs(), patience.as_secs());
        if waited >= patience {
            return Err(ConnectError { bus: bus.to_owned(), waited: patience, source });
        }
    }
}
