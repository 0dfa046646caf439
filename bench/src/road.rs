//! One consumer's topics and queues, for one run of one scenario.

use std::sync::Arc;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use messaging::{Bus, OutgoingMessage, Queue, Topology};
use tokio::time::{Duration, Instant};

use crate::{backlog::BenchEvent, ground::Ground};

#[derive(Debug)]
pub struct Road {
    pub bus: Arc<dyn Bus>,
    /// The same place by the shortest way, for what is not to be measured.
    direct: Arc<dyn Bus>,
    topology: Topology,
    /// By which a process finds it.
    pub environment: Vec<(&'static str, String)>,
    consumer: String,
}

const SENDERS: usize = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// LocalStack works off twenty thousand in well under a minute.
const PATIENCE: Duration = Duration::from_secs(300);

impl Road {
    pub async fn make(
        bus: Arc<dyn Bus>,
        direct: Arc<dyn Bus>,
        topology: Topology,
        environment: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let consumer = topology.subscribers.first().context("a road needs a consumer")?.consumer.clone();
        direct.apply(&topology).await?;
        Ok(Self { bus, direct, topology, environment, consumer })
    }

    pub async fn queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        Ok(self.bus.queue(&self.bus.names().queue(&self.consumer)).await?)
    }

    pub async fn dead_letters(&self) -> anyhow::Result<Arc<dyn Queue>> {
        Ok(self.bus.queue(&self.bus.names().dead_letter_queue(&self.consumer)).await?)
    }

    async fn direct_queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        Ok(self.direct.queue(&self.direct.names().queue(&self.consumer)).await?)
    }

    /// The queue's name on the bus.
    pub fn queue_name(&self) -> String {
        self.bus.names().queue(&self.consumer)
    }

    /// Puts events into the queue, past any topic.
    pub async fn fill(&self, events: &[BenchEvent]) -> anyhow::Result<()> {
        let messages: Vec<_> = events.iter().map(BenchEvent::message).collect::<anyhow::Result<_>>()?;
        self.send(&messages).await
    }

    pub async fn send(&self, messages: &[OutgoingMessage]) -> anyhow::Result<()> {
        send_all(&self.direct_queue().await?, messages).await
    }

    /// Puts messages into the dead-letter queue.
    pub async fn bury(&self, messages: &[OutgoingMessage]) -> anyhow::Result<()> {
        let name = self.direct.names().dead_letter_queue(&self.consumer);
        send_all(&self.direct.queue(&name).await?, messages).await
    }

    /// Waits until a worker has applied so many events and the queue holds nothing any more.
    pub async fn until_worked_off(&self, ground: &Ground, events: usize) -> anyhow::Result<()> {
        let queue = self.direct_queue().await?;
        let begun = Instant::now();
        loop {
            let applied = ground.applied().await?;
            if applied >= events {
                let counts = queue.counts().await?;
                if counts.visible + counts.in_flight == 0 {
                    return Ok(());
                }
            }
            ensure!(begun.elapsed() < PATIENCE, "only {applied} of {events} events were applied in {PATIENCE:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until so many messages are in a worker's hands.
    pub async fn until_in_hand(&self, messages: u64) -> anyhow::Result<()> {
        let queue = self.direct_queue().await?;
        let begun = Instant::now();
        loop {
            let in_flight = queue.counts().await?.in_flight;
            if in_flight >= messages {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "only {in_flight} of {messages} messages were taken in {PATIENCE:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub async fn remove(self) -> anyhow::Result<()> {
        Ok(self.direct.remove(&self.topology).await?)
    }
}

async fn send_all(queue: &Arc<dyn Queue>, messages: &[OutgoingMessage]) -> anyhow::Result<()> {
    stream::iter(messages.chunks(200))
        .map(|some| async move {
            let results = queue.send(some).await;
            results.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
        })
        .buffer_unordered(SENDERS)
        .try_collect::<()>()
        .await
        .context("could not fill a queue")
}
