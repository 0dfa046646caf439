//! How fast a worker is when its queue costs nothing: what is left is decoding, dispatching and PostgreSQL.
//!
//! Measured with it: what a loop on the same driver reaches that is handed finished columns. That is the most that a worker
//! of no cost at all could reach on this machine.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use tokio::{task::JoinSet, time::Instant};

use super::{Scenario, in_turn, working::work_off};
use crate::{
    backlog::{BATCH, BenchEvent, batches, events},
    counted::{Counted, ReadyQueue},
    ground::Ground,
    process,
    report::{Goal, Measure, Run},
    statements::{apply, pgbench_script, prepare_batches},
};

#[derive(Default)]
pub struct Ready {
    events: Vec<BenchEvent>,
}

const PGBENCH: &str = "pgbench, the same statements, batches of 100, as many connections";
const MEASURES: &[Measure] = &[
    Measure { name: "ready", unit: "events/s", against: Some(PGBENCH), goal: Some(Goal::RatioAtLeast(0.7)) },
    Measure { name: "ready-driver", unit: "events/s", against: Some(PGBENCH), goal: None },
];

/// Transactions at a time: a worker's default.
const CONNECTIONS: usize = 4;

#[async_trait(?Send)]
impl Scenario for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn prepare(&mut self, ground: &Ground) -> anyhow::Result<()> {
        self.events = events(ground.sizes.ready)?;
        prepare_batches(&ground.user, &batches(&self.events)).await?;
        Ok(tokio::fs::write(script(ground), pgbench_script()).await?)
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let both = async { anyhow::Ok((self.ours(ground).await?, self.driver(ground).await?)) };
        let ((ours, driver), pgbench) = in_turn(round, both, self.pgbench(ground)).await?;
        Ok(vec![Run::beside(ours, pgbench), Run::beside(driver, pgbench)])
    }

    async fn clear(&mut self, ground: &Ground) -> anyhow::Result<()> {
        sqlx::query("DROP TABLE prepared_batches").execute(&ground.user).await?;
        Ok(())
    }
}

impl Ready {
    async fn ours(&self, ground: &Ground) -> anyhow::Result<f64> {
        ground.forget_applied().await?;
        let messages = self.events.iter().map(BenchEvent::received).collect::<anyhow::Result<_>>()?;
        let none: Arc<ReadyQueue> = Arc::new(ReadyQueue::of(Vec::new()));
        let queue = Arc::new(Counted::new(Arc::new(ReadyQueue::of(messages)), self.events.len()));
        let took = work_off(queue, none, ground.user.clone()).await?;
        Ok(self.events.len() as f64 / took.as_secs_f64())
    }

    async fn driver(&self, ground: &Ground) -> anyhow::Result<f64> {
        ground.forget_applied().await?;
        let batches = batches(&self.events);
        let shares: Vec<_> = batches.chunks(batches.len().div_ceil(CONNECTIONS)).map(<[_]>::to_vec).collect();
        let started = Instant::now();
        let mut loops = JoinSet::new();
        for share in shares {
            let pool = ground.user.clone();
            loops.spawn(async move {
                for batch in &share {
                    apply(&pool, batch).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        Ok(self.events.len() as f64 / started.elapsed().as_secs_f64())
    }

    async fn pgbench(&self, ground: &Ground) -> anyhow::Result<f64> {
        ground.forget_applied().await?;
        let share = self.events.len() / BATCH / CONNECTIONS;
        let script = script(ground).display().to_string();
        let arguments = [
            "--no-vacuum",
            "--protocol=prepared",
            &format!("--client={CONNECTIONS}"),
            "--jobs=2",
            &format!("--transactions={share}"),
            "--define=next=0",
            &format!("--define=share={share}"),
            &format!("--file={script}"),
            ground.variable("USER_DATABASE_URL")?,
        ];
        let printed = process::output(&ground.programs.pgbench, &arguments.map(str::to_owned), &[]).await?;
        let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
        let rate = rate.with_context(|| format!("pgbench tells no rate: {printed}"))?;
        Ok(rate * BATCH as f64)
    }
}

fn script(ground: &Ground) -> std::path::PathBuf {
    ground.logs().join("pgbench.sql")
}
