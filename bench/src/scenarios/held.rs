//! The memory of a worker process with its hands full: messages of one KiB that it can't apply, because somebody has
//! locked the table they go to.

use async_trait::async_trait;
use messaging::OutgoingMessage;

use super::Scenario;
use crate::{
    backlog::events,
    ground::Ground,
    process::Process,
    report::{Goal, Measure, Run},
};

pub struct HeldInMemory;

const MEASURES: &[Measure] =
    &[Measure { name: "held", unit: "MiB", against: None, goal: Some(Goal::ValueAtMost(64.0)) }];

const BYTES: usize = 1_024;

#[async_trait(?Send)]
impl Scenario for HeldInMemory {
    fn name(&self) -> &'static str {
        "held"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, _round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_applied().await?;
        let held = ground.sizes.held;
        let road = ground.localstack(None).await?;
        let messages =
            events(held)?.iter().map(|event| Ok(padded(event.message()?))).collect::<anyhow::Result<Vec<_>>>()?;
        road.send(&messages).await?;
        let mut locked = ground.user.begin().await?;
        sqlx::query("LOCK TABLE user_profiles IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await?;
        let environment = ground.environment(&road, &[("WORKER_MAX_HELD", &held.to_string())]);
        let worker =
            Process::start("worker", &ground.programs.waypost, &["run", "user-worker"], &environment, &ground.logs())?;
        road.until_in_hand(held as u64).await?;
        locked.rollback().await?;
        // What comes after is in it too: the peak is the kernel's, and is read when all is done.
        road.until_worked_off(ground, held).await?;
        let peak = worker.peak_mib()?;
        worker.stop().await?;
        road.remove().await?;
        Ok(vec![Run::alone(peak)])
    }
}

/// By spaces, which JSON allows where an object ends.
fn padded(message: OutgoingMessage) -> OutgoingMessage {
    let missing = BYTES.saturating_sub(message.body.len());
    OutgoingMessage { body: format!("{}{}", message.body, " ".repeat(missing)), ..message }
}
