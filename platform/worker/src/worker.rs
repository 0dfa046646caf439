//! The worker: puts the parts together, and takes them apart again in order when it stops.

use std::{sync::Arc, time::Duration};

use messaging::Queue;
use schemas::Clock;
use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    dispatch::{Dispatcher, work::Work},
    inbox::{
        heartbeat::Heartbeat,
        window::{EVENT_LOGS, Window},
    },
    measure::Labels,
    message::{
        dead_letter::DeadLetters,
        lease::Leases,
        receive::Receiver,
        settle::Settler,
        settlement::{Observed, Settlements},
    },
    registry::Consumer,
    settings::{InvalidSettings, WorkerSettings},
    status::Status,
    survey::Survey,
    transaction::{
        Applier, Transactions,
        attempt::Attempts,
        breaker::{Breaker, Circuits, Probing},
        effect::Performer,
        failure::Recorder,
        line::Line,
    },
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
    circuits: Circuits,
    status: Status,
    pub(crate) observer: Option<mpsc::UnboundedSender<Observed>>,
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
        let circuits = Circuits::all_closed();
        let status = Status::new(consumer.name(), circuits.clone());
        Self {
            consumer,
            queue,
            dead_letters,
            pool,
            settings: Arc::new(settings),
            clock,
            circuits,
            status,
            observer: None,
        }
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
        self.labels().begin();

        let leases = Leases::new(self.queue.clone(), self.settings.lease, self.status.clone());
        let (settler, acknowledging) = Settler::new(self.queue.clone(), leases.clone());
        let stop = soft.child_token();
        let probing = TaskTracker::new();
        let work = self.work(settler, &window, &stop, &hard, probing.clone());

        // What batches and polls still need while they end.
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
        let (dispatcher, inlet, acquitting) = Dispatcher::new(work, self.status.clone(), &self.settings, stop.clone());
        tasks.spawn(dispatcher.run(stop.clone()));
        tasks.spawn(acquitting);
        tasks.spawn(maintain(window, self.pool.clone(), self.clock.clone(), stop.clone()));
        tasks.spawn(self.survey(leases.clone()).run(stop.clone()));
        tasks.spawn(self.heartbeat().run(stop.clone()));
        tasks.spawn({
            let (receiver, stop, inlet) = (self.receiver(leases), stop.clone(), inlet.clone());
            async move { receiver.run(|messages| inlet.deliver(messages), stop).await }
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
        inlet.finish().await;
        // Probing ends with `stop`. Every settler is gone then, so this ends when the last acknowledgement is answered.
        probing.close();
        probing.wait().await;
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

    pub(crate) fn work(
        &self,
        settler: Settler,
        window: &Window,
        soft: &CancellationToken,
        hard: &CancellationToken,
        probing: TaskTracker,
    ) -> Arc<Work> {
        let settings = &self.settings;
        let probing = Probing {
            consumer: self.consumer.name(),
            circuits: self.circuits.clone(),
            delay: settings.probe,
            tasks: probing,
            soft: soft.clone(),
        };
        let database = Breaker::of_database(self.pool.clone(), probing.clone());
        let lines = self.consumer.handlers().map(|handler| {
            Line::new(handler.clone(), database.clone(), self.pool.clone(), probing.clone(), settings.hold)
        });
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
            consumer: self.consumer.clone(),
            labels: self.labels(),
            lock_timeout: settings.lock_timeout(),
            statement_timeout: settings.statement_timeout(),
            handler_timeout: settings.handler_timeout,
        };
        let attempts = Attempts { recorder, window: window.clone(), clock: self.clock.clone(), retry: settings.retry };
        let settlements = Settlements {
            settler,
            dead_letters: DeadLetters(self.dead_letters.clone()),
            clock: self.clock.clone(),
            status: self.status.clone(),
            observer: self.observer.clone(),
        };
        let applier = Applier {
            transactions: transactions.clone(),
            attempts: attempts.clone(),
            settlements: settlements.clone(),
            hard: hard.clone(),
        };
        let performer = Performer {
            transactions,
            attempts,
            settlements: settlements.clone(),
            soft: soft.clone(),
            hard: hard.clone(),
        };
        Arc::new(Work {
            consumer: self.consumer.clone(),
            lines: lines.collect(),
            applier,
            performer,
            settlements,
            window: window.clone(),
            clock: self.clock.clone(),
        })
    }

    fn labels(&self) -> Labels {
        Labels { system: self.queue.system(), queue: self.queue.name().to_owned(), consumer: self.consumer.name() }
    }

    fn receiver(&self, leases: Arc<Leases>) -> Receiver {
        Receiver {
            queue: self.queue.clone(),
            leases,
            circuits: self.circuits.clone(),
            settings: self.settings.clone(),
            status: self.status.clone(),
            labels: self.labels(),
            clock: self.clock.clone(),
        }
    }

    fn survey(&self, leases: Arc<Leases>) -> Survey {
        Survey {
            queue: self.queue.clone(),
            dead_letters: self.dead_letters.clone(),
            leases,
            labels: self.labels(),
            clock: self.clock.clone(),
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            pool: self.pool.clone(),
            status: self.status.clone(),
            settings: self.settings.clone(),
            consumer: self.consumer.name(),
            queue: self.queue.name().to_owned(),
            clock: self.clock.clone(),
        }
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
