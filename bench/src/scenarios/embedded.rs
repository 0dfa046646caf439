//! The bus in PostgreSQL: a worker, beside a loop that does nothing but its SQL.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use messaging::{Queue, ReceiveRequest};
use sqlx::PgPool;
use tokio::{task::JoinSet, time::Duration};

use super::{Scenario, in_turn, working::work_off};
use crate::{
    backlog::{BATCH, BenchEvent, Columns, batches, events},
    counted::Counted,
    ground::{Ground, topology},
    report::{Goal, Measure, Run},
    statements::apply,
};

pub struct Embedded;

const MEASURES: &[Measure] = &[Measure {
    name: "embedded",
    unit: "events/s",
    against: Some("the same loop and SQL, without decoding and without a runtime"),
    goal: Some(Goal::RatioAtLeast(0.8)),
}];

const LOOPS: usize = 4;
const MOST_RECEIVED: usize = 10;
const WAIT: Duration = Duration::from_secs(1);
const VISIBILITY: Duration = Duration::from_secs(60);

#[async_trait(?Send)]
impl Scenario for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let events = events(ground.sizes.embedded)?;
        let (ours, bare) = in_turn(round, ours(ground, &events), bare(ground, &events)).await?;
        Ok(vec![Run::beside(ours, bare)])
    }
}

async fn ours(ground: &Ground, events: &[BenchEvent]) -> anyhow::Result<f64> {
    ground.forget_applied().await?;
    let road = ground.embedded(topology()).await?;
    road.fill(events).await?;
    let queue = Arc::new(Counted::new(road.queue().await?, events.len()));
    let took = work_off(queue, road.dead_letters().await?, ground.user.clone()).await?;
    road.remove().await?;
    Ok(events.len() as f64 / took.as_secs_f64())
}

async fn bare(ground: &Ground, events: &[BenchEvent]) -> anyhow::Result<f64> {
    ground.forget_applied().await?;
    let road = ground.embedded(topology()).await?;
    road.fill(events).await?;
    let queue = Arc::new(Counted::new(road.queue().await?, events.len()));
    let mut loops = JoinSet::new();
    let batches = batches(events);
    for share in batches.chunks(batches.len().div_ceil(LOOPS)) {
        loops.spawn(bare_loop(queue.clone(), ground.user.clone(), share.to_vec()));
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    let took = queue.until_all_are_deleted().await;
    road.remove().await?;
    Ok(events.len() as f64 / took.as_secs_f64())
}

/// Receives a batch, does a batch's SQL, deletes a batch. Which events were received makes no difference to the database.
async fn bare_loop(queue: Arc<dyn Queue>, pool: PgPool, batches: Vec<Columns>) -> anyhow::Result<()> {
    for batch in batches {
        let mut receipts = Vec::with_capacity(BATCH);
        while receipts.len() < batch.keys.len() {
            // No more than its own share, or another loop would wait for what this one has too much.
            let max = (batch.keys.len() - receipts.len()).min(MOST_RECEIVED);
            let received = queue.receive(ReceiveRequest { max, wait: WAIT, visibility: VISIBILITY }).await?;
            receipts.extend(received.into_iter().map(|message| message.receipt));
        }
        apply(&pool, &batch).await?;
        let deleted = queue.delete(&receipts).await.into_iter().collect::<Result<Vec<_>, _>>();
        deleted.context("a message could not be deleted")?;
    }
    Ok(())
}
