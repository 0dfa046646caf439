//! The worker: puts the parts together, and takes them apart again in order when it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use messaging::Queue;
use schemas::Clock;
use sqlx::PgPool;
use tokio::{
    sync::{RwLock, Semaphore},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    dead_letter::DeadLetters,
    dispatch::{Lanes, Work},
    failure::Recorder,
    lease::Leases,
    outage::Outages,
    receive::Receiver,
    registry::Consumer,
    settings::{InvalidSettings, WorkerSettings},
    settle::Settler,
    transaction::{Applier, Transactions},
    window::{EVENT_LOGS, Window},
};

/// A consumer at work on its queue.
#[derive(Debug)]
pub struct Worker {
    consumer: Consumer,
    queue: Arc<dyn Queue>,
    dead_letters: Arc<dyn Queue>,
    pool: PgPool,
    settings: Arc<WorkerSettings>,
    clock: Clock,
    outages: Outages,
    status: Status,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the worker's settings contradict each other")]
    Settings(#[from] InvalidSettings),
    #[error("the inbox is not ready")]
    Inbox(#[from] partitions::PartitionError),
    #[error("a part of the worker died")]
    Died(#[source] JoinError),
    #[error("a part of the worker ended before it was told to")]
    EndedEarly,
}

/// What health checks want to know. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Status {
    started: Instant,
    /// Milliseconds after `started`, plus one; zero is never.
    last_poll: Arc<AtomicU64>,
    outages: Outages,
}

const MAINTAIN_EVERY: Duration = Duration::from_secs(60 * 60);
/// After a hard stop, what is left of messages goes back to the queue within this time.
const HARD_STOP: Duration = Duration::from_secs(5);

impl Worker {
    pub fn new(
        consumer: Consumer,
        queue: Arc<dyn Queue>,
        dead_letters: Arc<dyn Queue>,
        pool: PgPool,
        settings: WorkerSettings,
        clock: Clock,
    ) -> Self {
        let outages = Outages::none();
        let status = Status { started: Instant::now(), last_poll: Arc::default(), outages: outages.clone() };
        Self { consumer, queue, dead_letters, pool, settings: Arc::new(settings), clock, outages, status }
    }

    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Works until `soft` is cancelled; then stops polling, finishes what runs, hands back the rest, flushes its
    /// acknowledgements and returns. `hard` cancels what runs and hands that back too.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) -> Result<(), WorkerError> {
        self.settings.check()?;
        let now = self.clock.now();
        let window = Window::from(now - EVENT_LOGS.keep);
        window.maintain(&self.pool, now).await?;

        let leases = Leases::new(self.queue.clone(), self.settings.lease);
        let (settler, acknowledging) = Settler::new(self.queue.clone(), leases.clone());
        let stop = soft.child_token();
        let work = self.work(&settler, &window, &stop, &hard);

        // What lanes and polls still need while they end.
        let last = CancellationToken::new();
        // Where either of them dies, its guard stops the worker: nothing would be extended, or acknowledged, any more.
        let (kept, acknowledged) = (stop.clone().drop_guard(), stop.clone().drop_guard());
        let (kept_leases, until) = (leases.clone(), last.clone());
        let keeping = tokio::spawn(async move {
            let _kept = kept;
            kept_leases.keep(until).await;
        });
        let acknowledging = tokio::spawn(async move {
            let _acknowledged = acknowledged;
            acknowledging.await;
        });

        let mut tasks = JoinSet::new();
        let lanes = Lanes::open(work, &stop, &mut tasks);
        tasks.spawn(maintain(window, self.pool.clone(), self.clock.clone(), stop.clone()));
        let receiver =
            Receiver { queue: self.queue, leases, outages: self.outages, settings: self.settings, status: self.status };
        let delivering = lanes.clone();
        tasks.spawn({
            let stop = stop.clone();
            async move { receiver.run(|messages| delivering.deliver(messages), stop).await }
        });
        tracing::info!(consumer = self.consumer.name(), "working");

        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = match ended {
                Err(died) => Err(WorkerError::Died(died)),
                Ok(()) if !stop.is_cancelled() => Err(WorkerError::EndedEarly),
                Ok(()) => Ok(()),
            };
            if outcome.is_ok() && ended.is_err() {
                outcome = ended;
                stop.cancel();
            }
        }
        lanes.finish().await;
        drop((lanes, settler));
        // Every settler is gone now, so this ends when the last acknowledgement is answered.
        let flushed = tokio::select! {
            ended = acknowledging => {
                outcome = outcome.and(ended.map_err(WorkerError::Died));
                true
            }
            () = async { hard.cancelled().await; tokio::time::sleep(HARD_STOP).await } => false,
        };
        last.cancel();
        outcome = outcome.and(keeping.await.map_err(WorkerError::Died));
        tracing::info!(consumer = self.consumer.name(), flushed, "stopped");
        outcome
    }

    fn work(
        &self,
        settler: &Settler,
        window: &Window,
        soft: &CancellationToken,
        hard: &CancellationToken,
    ) -> Arc<Work> {
        let settings = &self.settings;
        let recorder = Recorder {
            pool: self.pool.clone(),
            clock: self.clock.clone(),
            queue: self.queue.name().to_owned(),
            worker: settings.worker.clone(),
            version: settings.version.clone(),
            max_attempts: settings.max_attempts,
        };
        let transactions = Transactions {
            pool: self.pool.clone(),
            lock_timeout: settings.lock_timeout(),
            statement_timeout: settings.statement_timeout(),
            handler_timeout: settings.handler_timeout,
        };
        let applier = Applier {
            transactions,
            recorder,
            outages: self.outages.clone(),
            window: window.clone(),
            clock: self.clock.clone(),
            settings: settings.clone(),
            soft: soft.clone(),
            hard: hard.clone(),
        };
        Arc::new(Work {
            consumer: self.consumer.clone(),
            applier,
            settler: settler.clone(),
            dead_letters: DeadLetters(self.dead_letters.clone()),
            window: window.clone(),
            clock: self.clock.clone(),
            batch: settings.batch,
            running: Arc::new(Semaphore::new(settings.concurrency)),
            solitude: RwLock::new(()),
        })
    }
}

async fn maintain(window: Window, pool: PgPool, clock: Clock, stop: CancellationToken) {
    let mut tick = tokio::time::interval(MAINTAIN_EVERY);
    tick.tick().await;
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if let Err(error) = window.maintain(&pool, clock.now()).await {
            tracing::warn!(%error, "could not maintain the weeks of the inbox; trying again in an hour");
        }
    }
}

impl Status {
    pub(crate) fn polled(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.last_poll.store(millis + 1, Ordering::Relaxed);
    }

    /// How long ago the queue last answered a poll; `None` before it first did.
    pub fn since_last_poll(&self) -> Option<Duration> {
        let at = Duration::from_millis(self.last_poll.load(Ordering::Relaxed).checked_sub(1)?);
        Some(self.started.elapsed().saturating_sub(at))
    }

    /// Whether polling rests because a dependency is down.
    pub fn is_waiting_for_dependency(&self) -> bool {
        self.outages.is_any()
    }
}
