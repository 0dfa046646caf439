//! What the outbox costs a producer: the transaction that makes an account, with its event and without.

use async_trait::async_trait;
use schemas::event_id;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{task::JoinSet, time::Instant};

use super::{Scenario, in_turn};
use crate::{
    backlog::{BenchEvent, events},
    ground::Ground,
    report::{Goal, Measure, Run},
    statements::ACCOUNT,
};

pub struct Producer;

const MEASURES: &[Measure] = &[Measure {
    name: "producer",
    unit: "commits/s",
    against: Some("the same transaction without its row in the outbox"),
    goal: Some(Goal::RatioAtLeast(0.8)),
}];

const CLIENTS: usize = 8;

#[async_trait(?Send)]
impl Scenario for Producer {
    fn name(&self) -> &'static str {
        "producer"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let ours = commits_per_second(ground, true);
        let without = commits_per_second(ground, false);
        let (ours, without) = in_turn(round, ours, without).await?;
        Ok(vec![Run::beside(ours, without)])
    }
}

async fn commits_per_second(ground: &Ground, with_event: bool) -> anyhow::Result<f64> {
    ground.forget_accounts().await?;
    let mut events = events(ground.sizes.commits)?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    let share = events.len().div_ceil(CLIENTS);
    while !events.is_empty() {
        let own = events.split_off(events.len().saturating_sub(share));
        clients.spawn(register(ground.auth.clone(), own, with_event));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(ground.sizes.commits as f64 / begun.elapsed().as_secs_f64())
}

/// As auth-service does it, past HTTP, hashing and the mail: an account, its role, its entry in the audit trail, its event.
async fn register(pool: PgPool, events: Vec<BenchEvent>, with_event: bool) -> anyhow::Result<()> {
    for event in events {
        let mut tx = pool.begin().await?;
        let account = sqlx::query(AssertSqlSafe(ACCOUNT))
            .bind(event.user)
            .bind(&event.email)
            .bind("none")
            .bind(None::<String>)
            .bind(None::<String>)
            .bind(event.sequence.get())
            .bind(event.time)
            .bind("user")
            .bind(&[] as &[&str])
            .bind(event_id(event.time))
            .bind("register")
            .bind(None::<String>)
            .bind(None::<String>)
            .bind("bench");
        account.fetch_one(&mut *tx).await?;
        if with_event {
            outbox::append(&mut tx, &event.envelope).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
