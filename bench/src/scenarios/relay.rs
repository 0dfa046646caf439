//! An outbox full of events, published through SNS by a relay, beside a loop that publishes the same and keeps no books.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use chaos::proxy::{Proxy, Traffic};
use outbox::{Relay, RelaySettings, Wake};
use schemas::Clock;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{Scenario, in_turn, sqs::peers_environment};
use crate::{
    backlog::{BATCH, events},
    ground::Ground,
    process::answer,
    report::{Goal, Measure, Run},
};

pub struct Relaying;

const MEASURES: &[Measure] = &[
    Measure {
        name: "relay",
        unit: "events/s",
        against: Some("a bare loop of PublishBatch, as many requests in flight"),
        goal: Some(Goal::RatioAtLeast(0.9)),
    },
    Measure { name: "relay-calls", unit: "calls/1,000 events", against: None, goal: Some(Goal::ValueAtMost(105.0)) },
];

/// A relay publishes four claims at a time, in four requests each.
const IN_FLIGHT: usize = 16;
/// Looking costs the database something.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(300);

#[async_trait(?Send)]
impl Scenario for Relaying {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let count = ground.sizes.outbox;
        let ours = async { ours(ground, &ground.proxy().await?, count).await };
        let bare = async { bare(ground, &ground.proxy().await?, count).await };
        let (ours, bare) = in_turn(round, ours, bare).await?;
        let calls: u64 = ours.values().map(|passed| passed.requests).sum();
        Ok(vec![
            Run::beside(events_per_second(&ours, count)?, events_per_second(&bare, count)?),
            Run::alone(calls as f64 * 1_000.0 / count as f64),
        ])
    }
}

async fn ours(ground: &Ground, proxy: &Proxy, count: usize) -> anyhow::Result<BTreeMap<String, Traffic>> {
    ground.forget_accounts().await?;
    for batch in events(count)?.chunks(BATCH) {
        let mut tx = ground.auth.begin().await?;
        for event in batch {
            outbox::append(&mut tx, &event.envelope).await?;
        }
        tx.commit().await?;
    }
    let road = ground.localstack(Some(proxy)).await?;
    let publisher = road.bus.publisher();
    let (wake, stop) = (Wake::new(), CancellationToken::new());
    let relay = Relay::new(ground.auth.clone(), publisher, RelaySettings::default(), Clock::system());
    let relaying = tokio::spawn(relay.run(wake, stop.clone()));
    let begun = Instant::now();
    loop {
        let waiting = "SELECT count(*) FROM outbox WHERE status <> 'published'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&ground.auth).await?;
        if waiting == 0 {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{waiting} of {count} events are not published after {PATIENCE:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let traffic = proxy.traffic();
    stop.cancel();
    relaying.await?;
    road.remove().await?;
    Ok(traffic)
}

async fn bare(ground: &Ground, proxy: &Proxy, count: usize) -> anyhow::Result<BTreeMap<String, Traffic>> {
    let road = ground.localstack(Some(proxy)).await?;
    let events = events(1)?;
    let event = events.first().context("an event to publish")?;
    let file = ground.logs().join("event.json");
    tokio::fs::write(&file, event.message()?.body).await?;
    let topic = road.bus.names().topic(&event.envelope.event_type);
    let topic = format!("arn:aws:sns:us-east-1:000000000000:{topic}");
    let file = file.display().to_string();
    let arguments = [
        "publish",
        "--topic",
        &topic,
        "--messages",
        &count.to_string(),
        "--in-flight",
        &IN_FLIGHT.to_string(),
        "--body",
        &file,
    ];
    let _: serde_json::Value =
        answer(&ground.programs.peers, &arguments.map(str::to_owned), &peers_environment(ground, proxy)).await?;
    let traffic = proxy.traffic();
    road.remove().await?;
    Ok(traffic)
}

/// As SNS saw it: from the first request until the last was answered.
fn events_per_second(traffic: &BTreeMap<String, Traffic>, events: usize) -> anyhow::Result<f64> {
    let published = traffic.get("PublishBatch").context("nothing was published")?;
    Ok(events as f64 / (published.last - published.first).as_secs_f64())
}
