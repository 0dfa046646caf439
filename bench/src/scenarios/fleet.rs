//! One worker process, and four: with a handler that takes five milliseconds an event, four should do four times as much.

use std::sync::Arc;

use anyhow::ensure;
use async_trait::async_trait;
use messaging::{Bus, Names, PostgresBus, Topology};
use schemas::{Clock, UserCreatedV2};
use sqlx::{PgConnection, PgPool};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use worker::{Consumer, HandlerError, Received, Verdict, Worker, WorkerSettings, fleet};

use super::{Scenario, in_turn};
use crate::{
    backlog::events,
    ground::{Ground, pool},
    process::Process,
    report::{Goal, Measure, Run},
};

pub struct Fleet;

const MEASURES: &[Measure] = &[Measure {
    name: "fleet",
    unit: "events/s",
    against: Some("four times what one worker process does; four do it, 5 ms an event"),
    goal: Some(Goal::RatioAtLeast(0.9)),
}];

const PROCESSES: usize = 4;
const TAKES: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// The argument by which this program is a worker.
pub const SLOW_WORKER: &str = "work-slowly";
const CONSUMER: &str = "slow-service";
/// Small ones, because what is counted are commits: a hundred events in one would come half a second apart.
const SMALL_BATCH: usize = 20;
const BATCHES_AT_A_TIME: usize = 4;

#[async_trait(?Send)]
impl Scenario for Fleet {
    fn name(&self) -> &'static str {
        "fleet"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let four = events_per_second(ground, PROCESSES);
        let one = events_per_second(ground, 1);
        let (four, one) = in_turn(round, four, one).await?;
        Ok(vec![Run::beside(four, one * PROCESSES as f64)])
    }
}

/// Watched in the middle of their work: neither their start nor their end is in it.
async fn events_per_second(ground: &Ground, processes: usize) -> anyhow::Result<f64> {
    ground.forget_applied().await?;
    let road = ground.embedded(Topology { subscribers: vec![consumer().subscriber()], ..Topology::default() }).await?;
    road.fill(&events(processes * ground.sizes.per_process)?).await?;
    let environment = ground.environment(&road, &[]);
    let names = (0..processes).map(|number| format!("slow-worker-{number}"));
    let workers =
        names.map(|name| Process::start(&name, &ground.programs.bench, &[SLOW_WORKER], &environment, &ground.logs()));
    let workers: Vec<_> = workers.collect::<anyhow::Result<_>>()?;

    until("all workers to be there", async || Ok(fleet(&ground.user).await?.len() == processes)).await?;
    let first = ground.applied().await?;
    until("all of them to be at work", async || {
        Ok(ground.applied().await? >= first + processes * BATCHES_AT_A_TIME * SMALL_BATCH)
    })
    .await?;
    let (before, since) = (ground.applied().await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(ground.sizes.watched)).await;
    let (after, watched) = (ground.applied().await?, since.elapsed());
    ensure!(after < processes * ground.sizes.per_process, "the workers ran out of events while they were watched");
    for worker in workers {
        worker.stop().await?;
    }
    road.remove().await?;
    Ok((after - before) as f64 / watched.as_secs_f64())
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !reached().await? {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

fn consumer() -> Consumer {
    Consumer::named(CONSUMER).apply_each("take_five_milliseconds", &[], take_five_milliseconds).build()
}

async fn take_five_milliseconds(
    _connection: &mut PgConnection,
    _event: &Received<'_, UserCreatedV2>,
) -> Result<Verdict, HandlerError> {
    tokio::time::sleep(TAKES).await;
    Ok(Verdict::Applied)
}

/// What this program does as a worker, until SIGTERM.
pub async fn work_slowly() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name);
    let names = Names::with_prefix(&variable("WAYPOST_NAME_PREFIX")?);
    let bus_pool: PgPool = pool(&variable("BUS_DATABASE_URL")?, 10).await?;
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(bus_pool, names));
    let user = pool(&variable("USER_DATABASE_URL")?, 10).await?;
    let queue = bus.queue(&bus.names().queue(CONSUMER)).await?;
    let dead_letters = bus.queue(&bus.names().dead_letter_queue(CONSUMER)).await?;
    let settings = WorkerSettings::new(format!("bench:{}", std::process::id()), env!("CARGO_PKG_VERSION"));
    let settings = WorkerSettings { batch: SMALL_BATCH, concurrency: BATCHES_AT_A_TIME, ..settings };
    let worker = Worker::new(consumer(), queue, dead_letters, user, settings, Clock::system());
    let mut terminated = signal(SignalKind::terminate())?;
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let stop = soft.clone();
    tokio::spawn(async move {
        terminated.recv().await;
        stop.cancel();
    });
    Ok(worker.run(soft, hard).await?)
}
