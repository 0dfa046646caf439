//! A backlog in LocalStack's SQS, worked off by a worker process, beside three loops that others would write.
//!
//! All of them go through a proxy that counts, so that calls and times are taken from what was asked of SQS and not from
//! what a program says of itself.

use anyhow::{Context, ensure};
use async_trait::async_trait;
use chaos::proxy::{Proxy, Traffic};
use serde::Deserialize;

use super::{Scenario, in_turn};
use crate::{
    backlog::events,
    ground::Ground,
    process::{Process, answer},
    report::{Goal, Measure, Run},
    road::Road,
};

pub struct Sqs;

const MEASURES: &[Measure] = &[
    Measure {
        name: "sqs",
        unit: "events/s",
        against: Some("a bare loop of receive-10 and delete-batch that does no work, as many connections"),
        goal: Some(Goal::RatioAtLeast(0.9)),
    },
    Measure { name: "sqs-calls", unit: "calls/1,000 events", against: None, goal: Some(Goal::ValueAtMost(205.0)) },
    Measure {
        name: "sqs-transactions",
        unit: "transactions/1,000 events",
        against: None,
        goal: Some(Goal::ValueAtMost(15.0)),
    },
    Measure {
        name: "cpu-plain",
        unit: "CPU s/1,000 events",
        against: Some("a plain loop on aws-sdk-sqs, one transaction and one delete a message"),
        goal: Some(Goal::RatioAtMost(0.2)),
    },
    Measure {
        name: "cpu-omniqueue",
        unit: "CPU s/1,000 events",
        against: Some("omniqueue 0.3, one transaction and one delete a message"),
        goal: Some(Goal::RatioAtMost(0.2)),
    },
];

/// A worker polls with as many.
pub const CONNECTIONS: usize = 8;

/// What a worker process did with a backlog.
pub struct Worked {
    pub events_per_second: f64,
    calls_per_thousand: f64,
    transactions_per_thousand: f64,
    cpu_per_thousand: f64,
}

/// What a peer says of itself.
#[derive(Debug, Deserialize)]
struct Peer {
    cpu_seconds: f64,
}

#[async_trait(?Send)]
impl Scenario for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let events = ground.sizes.backlog;
        let proxy = || ground.proxy();
        let ours = async { worker(ground, &proxy().await?, events).await };
        let others = async {
            let bare = bare(ground, &proxy().await?, events).await?;
            let plain = one_by_one(ground, "one-by-one").await?;
            let omniqueue = one_by_one(ground, "omniqueue").await?;
            Ok((bare, plain, omniqueue))
        };
        let (ours, (bare, plain, omniqueue)) = in_turn(round, ours, others).await?;
        Ok(vec![
            Run::beside(ours.events_per_second, bare),
            Run::alone(ours.calls_per_thousand),
            Run::alone(ours.transactions_per_thousand),
            Run::beside(ours.cpu_per_thousand, plain),
            Run::beside(ours.cpu_per_thousand, omniqueue),
        ])
    }
}

/// `waypost run user-worker` on a full queue.
pub async fn worker(ground: &Ground, proxy: &Proxy, count: usize) -> anyhow::Result<Worked> {
    ground.forget_applied().await?;
    let road = ground.localstack(Some(proxy)).await?;
    road.fill(&events(count)?).await?;
    let environment = ground.environment(&road, &[]);
    let worker =
        Process::start("worker", &ground.programs.waypost, &["run", "user-worker"], &environment, &ground.logs())?;
    road.until_worked_off(ground, count).await?;
    let cpu = worker.cpu_seconds()?;
    let traffic = proxy.traffic();
    worker.stop().await?;
    road.remove().await?;

    let calls: u64 = traffic.values().map(|passed| passed.requests).sum();
    let transactions = "SELECT count(DISTINCT xmin::text) FROM event_logs";
    let transactions: i64 = sqlx::query_scalar(transactions).fetch_one(&ground.user).await?;
    let thousands = count as f64 / 1_000.0;
    Ok(Worked {
        events_per_second: events_per_second(&traffic, count)?,
        calls_per_thousand: calls as f64 / thousands,
        transactions_per_thousand: transactions as f64 / thousands,
        cpu_per_thousand: cpu / thousands,
    })
}

/// Receives and deletes, and does nothing else.
pub async fn bare(ground: &Ground, proxy: &Proxy, count: usize) -> anyhow::Result<f64> {
    let road = ground.localstack(Some(proxy)).await?;
    road.fill(&events(count)?).await?;
    let queue = queue_url(proxy, &road);
    let arguments =
        ["drain", "--queue", &queue, "--messages", &count.to_string(), "--connections", &CONNECTIONS.to_string()];
    let _: serde_json::Value =
        answer(&ground.programs.peers, &arguments.map(str::to_owned), &peers_environment(ground, proxy)).await?;
    let traffic = proxy.traffic();
    road.remove().await?;
    events_per_second(&traffic, count)
}

/// What a peer spends on a thousand events.
async fn one_by_one(ground: &Ground, peer: &str) -> anyhow::Result<f64> {
    let (count, proxy) = (ground.sizes.one_by_one, ground.proxy().await?);
    ground.forget_applied().await?;
    let road = ground.localstack(Some(&proxy)).await?;
    road.fill(&events(count)?).await?;
    let (queue, database) = (queue_url(&proxy, &road), ground.variable("USER_DATABASE_URL")?);
    let arguments = [
        peer,
        "--queue",
        &queue,
        "--messages",
        &count.to_string(),
        "--loops",
        &CONNECTIONS.to_string(),
        "--database",
        database,
    ];
    let peer: Peer =
        answer(&ground.programs.peers, &arguments.map(str::to_owned), &peers_environment(ground, &proxy)).await?;
    let applied = ground.applied().await?;
    ensure!(applied == count, "{applied} of {count} events were applied");
    road.remove().await?;
    Ok(peer.cpu_seconds / (count as f64 / 1_000.0))
}

/// As SQS saw it: from the first receive until the last delete was answered.
fn events_per_second(traffic: &std::collections::BTreeMap<String, Traffic>, events: usize) -> anyhow::Result<f64> {
    let begun = traffic.get("ReceiveMessage").context("nothing was received")?.first;
    let ended = traffic.get("DeleteMessageBatch").context("nothing was deleted")?.last;
    Ok(events as f64 / (ended - begun).as_secs_f64())
}

/// LocalStack knows a queue by the end of its URL.
pub fn queue_url(proxy: &Proxy, road: &Road) -> String {
    format!("{}/000000000000/{}", proxy.endpoint(), road.queue_name())
}

/// How the SDK finds LocalStack by itself.
pub fn peers_environment(ground: &Ground, proxy: &Proxy) -> Vec<(String, String)> {
    let region = ground.variable("AWS_REGION").unwrap_or("us-east-1").to_owned();
    [
        ("AWS_ENDPOINT_URL", proxy.endpoint()),
        ("AWS_REGION", region),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
