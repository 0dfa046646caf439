//! What operators wait for: reading a deep dead-letter queue, replaying out of it, and an answer where there is nothing.
//!
//! The command itself is measured, as a process, by what a proxy saw of it: from its first receive to its last call.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use chaos::proxy::{Proxy, Traffic};
use messaging::{OutgoingMessage, Queue, RawMessage, ReceiveRequest};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{Scenario, in_turn, sqs::CONNECTIONS};
use crate::{
    backlog::{BenchEvent, events},
    ground::Ground,
    process::watched,
    report::{Goal, Measure, Run},
    road::Road,
};

pub struct DeadLetters;

const MEASURES: &[Measure] = &[
    Measure {
        name: "dlq-scan",
        unit: "letters/s",
        against: Some("a bare loop of receive-10, as many connections"),
        goal: Some(Goal::RatioAtLeast(0.8)),
    },
    Measure { name: "dlq-memory", unit: "MiB", against: None, goal: Some(Goal::ValueAtMost(64.0)) },
    Measure {
        name: "dlq-replay",
        unit: "letters/s",
        against: Some("a bare loop of receive-10, send-batch and delete-batch, as many connections"),
        // In no more than 1.3 times the time.
        goal: Some(Goal::RatioAtLeast(0.77)),
    },
    Measure { name: "dlq-idle", unit: "ms", against: None, goal: Some(Goal::ValueAtMost(300.0)) },
];

/// What an operator reads with; the slowest is told.
const READING: [&[&str]; 8] = [
    &["dlq", "list", "--consumer", "user-service"],
    &["dlq", "groups"],
    &["dlq", "browse"],
    &["dlq", "show", "nobody"],
    &["dlq", "stats", "--consumer", "user-service"],
    &["dlq", "history"],
    &["event-log", "find"],
    &["outbox", "status"],
];
/// `show` says that there is none.
const NOTHING_MATCHED: i32 = 3;

#[async_trait(?Send)]
impl Scenario for DeadLetters {
    fn name(&self) -> &'static str {
        "dlq"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let letters = ground.sizes.dead_letters;
        let ((scanned, peak), received) = in_turn(round, scan(ground, letters), bare_scan(ground, letters)).await?;
        let replayed = ground.sizes.replayed;
        let (ours, bare) = in_turn(round, replay(ground, replayed), bare_replay(ground, replayed)).await?;
        let idle = idle(ground).await?;
        Ok(vec![Run::beside(scanned, received), Run::alone(peak), Run::beside(ours, bare), Run::alone(idle)])
    }
}

async fn buried(ground: &Ground, proxy: &Proxy, letters: usize) -> anyhow::Result<Road> {
    ground.forget_applied().await?;
    let road = ground.localstack(Some(proxy)).await?;
    let messages: Vec<_> = events(letters)?.iter().map(BenchEvent::message).collect::<anyhow::Result<_>>()?;
    road.bury(&messages).await?;
    Ok(road)
}

/// `waypost dlq groups`; answers letters a second, and the most memory that it had.
async fn scan(ground: &Ground, letters: usize) -> anyhow::Result<(f64, f64)> {
    let proxy = ground.proxy().await?;
    let road = buried(ground, &proxy, letters).await?;
    let done = watched(&ground.programs.waypost, &["dlq", "groups", "--json"], &ground.environment(&road, &[])).await?;
    ensure!(done.code == 0, "dlq groups ended with {}: {}", done.code, done.said);
    let groups: serde_json::Value = serde_json::from_str(&done.printed)?;
    ensure!(groups["saw"]["letters"] == letters, "{} of {letters} letters were seen", groups["saw"]["letters"]);
    let traffic = proxy.traffic();
    road.remove().await?;
    let receives = traffic.get("ReceiveMessage").context("nothing was received")?;
    Ok((letters as f64 / (receives.last - receives.first).as_secs_f64(), done.peak_mib))
}

async fn bare_scan(ground: &Ground, letters: usize) -> anyhow::Result<f64> {
    let proxy = ground.proxy().await?;
    let road = buried(ground, &proxy, letters).await?;
    let took = drain(road.dead_letters().await?, None, letters).await?;
    road.remove().await?;
    Ok(letters as f64 / took.as_secs_f64())
}

async fn replay(ground: &Ground, letters: usize) -> anyhow::Result<f64> {
    let proxy = ground.proxy().await?;
    let road = buried(ground, &proxy, letters).await?;
    let replay =
        ["dlq", "replay", "--type", "user.created", "--all-matching", "--execute", "--reason", "a measure", "--json"];
    let done = watched(&ground.programs.waypost, &replay, &ground.environment(&road, &[])).await?;
    ensure!(done.code == 0, "dlq replay ended with {}: {}", done.code, done.said);
    let traffic = proxy.traffic();
    let waiting = road.queue().await?.counts().await?.visible;
    ensure!(waiting == letters as u64, "{waiting} of {letters} letters were replayed");
    road.remove().await?;
    per_second(&traffic, letters)
}

async fn bare_replay(ground: &Ground, letters: usize) -> anyhow::Result<f64> {
    let proxy = ground.proxy().await?;
    let road = buried(ground, &proxy, letters).await?;
    let took = drain(road.dead_letters().await?, Some(road.queue().await?), letters).await?;
    road.remove().await?;
    Ok(letters as f64 / took.as_secs_f64())
}

/// From the first receive until the last delete was answered.
fn per_second(traffic: &BTreeMap<String, Traffic>, letters: usize) -> anyhow::Result<f64> {
    let begun = traffic.get("ReceiveMessage").context("nothing was received")?.first;
    let ended = traffic.get("DeleteMessageBatch").context("nothing was deleted")?.last;
    Ok(letters as f64 / (ended - begun).as_secs_f64())
}

/// Receives everything; sends it to `to` and deletes it, where there is one. Keeps no books.
async fn drain(from: Arc<dyn Queue>, to: Option<Arc<dyn Queue>>, letters: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(letters));
    for _ in 0..CONNECTIONS {
        let (from, to, left) = (from.clone(), to.clone(), left.clone());
        loops.spawn(async move {
            let request = ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(600) };
            while left.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                let received = from.receive(request).await?;
                left.fetch_sub(received.len(), std::sync::atomic::Ordering::SeqCst);
                let Some(to) = &to else { continue };
                let messages: Vec<OutgoingMessage> = received.iter().map(RawMessage::to_outgoing).collect();
                to.send(&messages).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                let receipts: Vec<_> = received.into_iter().map(|message| message.receipt).collect();
                from.delete(&receipts).await.into_iter().collect::<Result<Vec<_>, _>>()?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    Ok(begun.elapsed())
}

/// How long the slowest of the reading commands takes, from its start to its end, where there is nothing to read.
async fn idle(ground: &Ground) -> anyhow::Result<f64> {
    ground.forget_applied().await?;
    let road = ground.localstack(None).await?;
    let environment = ground.environment(&road, &[]);
    let mut slowest = Duration::ZERO;
    for command in READING {
        let begun = Instant::now();
        let done = watched(&ground.programs.waypost, command, &environment).await?;
        slowest = slowest.max(begun.elapsed());
        ensure!([0, NOTHING_MATCHED].contains(&done.code), "{command:?} ended with {}: {}", done.code, done.said);
    }
    road.remove().await?;
    Ok(slowest.as_secs_f64() * 1_000.0)
}
