//! SQS at a distance: ten milliseconds are added to every call, as between a worker and its region.

use async_trait::async_trait;
use chaos::proxy::Proxy;
use tokio::time::Duration;

use super::{Scenario, in_turn, sqs};
use crate::{
    ground::Ground,
    report::{Goal, Measure, Run},
};

pub struct Delayed;

const MEASURES: &[Measure] = &[Measure {
    name: "sqs-delayed",
    unit: "events/s",
    against: Some("the bare loop, as many connections, 10 ms added to every call"),
    goal: Some(Goal::RatioAtLeast(0.9)),
}];

const DELAY: Duration = Duration::from_millis(10);
const ALWAYS: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait(?Send)]
impl Scenario for Delayed {
    fn name(&self) -> &'static str {
        "delayed"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let events = ground.sizes.delayed;
        let ours = async { Ok(sqs::worker(ground, &delaying(ground).await?, events).await?.events_per_second) };
        let bare = async { sqs::bare(ground, &delaying(ground).await?, events).await };
        let (ours, bare) = in_turn(round, ours, bare).await?;
        Ok(vec![Run::beside(ours, bare)])
    }
}

async fn delaying(ground: &Ground) -> anyhow::Result<Proxy> {
    let proxy = ground.proxy().await?;
    proxy.hold_up(DELAY, ALWAYS);
    Ok(proxy)
}
