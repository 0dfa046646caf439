//! How long an event takes while nothing else happens: from the producer's COMMIT until others can read the row that it
//! became. The relay runs in this process, as it does in a producer; the worker is a process of its own.

use anyhow::ensure;
use async_trait::async_trait;
use chaos::accounts::make_account;
use outbox::{Relay, RelaySettings, Wake};
use schemas::Clock;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Scenario, reference_first};
use crate::{
    ground::{Ground, topology},
    process::Process,
    report::{Goal, Measure, Run, percentile},
    road::Road,
};

pub struct Latency;

const MEASURES: &[Measure] = &[
    Measure { name: "latency-sqs-p50", unit: "ms", against: None, goal: Some(Goal::ValueAtMost(40.0)) },
    Measure { name: "latency-sqs-p99", unit: "ms", against: None, goal: None },
    Measure { name: "latency-embedded-p50", unit: "ms", against: None, goal: Some(Goal::ValueAtMost(15.0)) },
    Measure { name: "latency-embedded-p99", unit: "ms", against: None, goal: None },
];

/// Not in step with anything that ticks.
const PAUSE: Duration = Duration::from_millis(37);
const LOOK_AGAIN: Duration = Duration::from_micros(300);
const PATIENCE: Duration = Duration::from_secs(30);
/// The first ones open connections.
const UNCOUNTED: usize = 5;

#[async_trait(?Send)]
impl Scenario for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let sqs = async { times(ground, ground.localstack(None).await?).await };
        let embedded = async { times(ground, ground.embedded(topology()).await?).await };
        let (sqs, embedded) = if reference_first(round) {
            let embedded = embedded.await?;
            (sqs.await?, embedded)
        } else {
            (sqs.await?, embedded.await?)
        };
        let figures = [(&sqs, 0.5), (&sqs, 0.99), (&embedded, 0.5), (&embedded, 0.99)];
        let runs = figures.map(|(times, share)| percentile(times.iter().copied(), share).map(Run::alone));
        Ok(runs.into_iter().flatten().collect())
    }
}

/// In milliseconds.
async fn times(ground: &Ground, road: Road) -> anyhow::Result<Vec<f64>> {
    ground.forget_applied().await?;
    ground.forget_accounts().await?;
    let environment = ground.environment(&road, &[]);
    let worker =
        Process::start("worker", &ground.programs.waypost, &["run", "user-worker"], &environment, &ground.logs())?;
    let (wake, stop) = (Wake::new(), CancellationToken::new());
    let relay = Relay::new(ground.auth.clone(), road.bus.publisher(), RelaySettings::default(), Clock::system());
    let relaying = tokio::spawn(relay.run(wake.clone(), stop.clone()));

    let mut times = Vec::with_capacity(ground.sizes.idle);
    for number in 0..ground.sizes.idle + UNCOUNTED {
        tokio::time::sleep(PAUSE).await;
        let took = time(ground, &wake).await?;
        if number >= UNCOUNTED {
            times.push(took.as_secs_f64() * 1_000.0);
        }
    }
    stop.cancel();
    relaying.await?;
    worker.stop().await?;
    road.remove().await?;
    Ok(times)
}

async fn time(ground: &Ground, wake: &Wake) -> anyhow::Result<Duration> {
    let mut tx = ground.auth.begin().await?;
    let email = format!("{}@example.org", &Uuid::new_v4().simple().to_string()[..16]);
    let user = make_account(&mut tx, &email, |_| {}).await?;
    tx.commit().await?;
    let committed = Instant::now();
    wake.wake();
    loop {
        let there = "SELECT 1 FROM user_profiles WHERE user_id = $1";
        if sqlx::query(there).bind(user).fetch_optional(&ground.user).await?.is_some() {
            return Ok(committed.elapsed());
        }
        ensure!(committed.elapsed() < PATIENCE, "an event was not applied in {PATIENCE:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
