//! A worker's own look at its queues when it starts.

use std::process::Stdio;

use fixtures::{DEADLINE, TestBus, on_both_buses};
use messaging::{QueueSettings, Subscriber, Topology};
use schemas::EventType;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::{
    recording::Recorder,
    running::{Installation, terminate},
    waypost,
};

on_both_buses!(a_worker_warns_of_a_queue_that_gives_up_early_and_works_on);

/// What it logs up to the line that says it works; then it is asked to stop.
async fn logged_until_working(installation: &Installation, more: &[(&str, &str)]) -> Vec<String> {
    let mut child = waypost(&["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", "127.0.0.1:0")])
        .envs(installation.environment())
        .envs(more.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut logged = Vec::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let works = line.contains("working");
            logged.push(line);
            if works {
                return;
            }
        }
        panic!("it ended: {logged:#?}");
    };
    timeout(DEADLINE, reading).await.unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    terminate(child).await;
    logged
}

async fn a_worker_warns_of_a_queue_that_gives_up_early_and_works_on(bus: TestBus) {
    let installation = Installation::healthy(bus).await;
    let warns = |line: &&String| line.contains("WARN");
    let logged = logged_until_working(&installation, &[]).await;
    assert_eq!(logged.iter().find(warns), None, "{logged:#?}");

    let events = [EventType::new("user.created")].into();
    let settings = QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT };
    let subscriber = Subscriber { consumer: "user-service".to_owned(), events, settings };
    let topology = Topology { subscribers: vec![subscriber], ..Topology::default() };
    installation.bus.bus.apply(&topology).await.unwrap();
    let logged = logged_until_working(&installation, &[]).await;
    let warnings: Vec<_> = logged.iter().filter(warns).collect();
    let [warning] = warnings[..] else { panic!("{logged:#?}") };
    for part in ["max-receive-count", "is not as a worker needs it", "waypost topology apply"] {
        assert!(warning.contains(part), "{warning}");
    }
}

#[tokio::test]
async fn a_worker_that_may_not_look_at_its_queues_says_so_and_works_on() {
    let installation = Installation::healthy(fixtures::bus().await).await;
    let recorder = Recorder::refusing(&["sqs:GetQueueAttributes"]).await;
    let logged = logged_until_working(&installation, &[("LOCALSTACK_ENDPOINT", &recorder.endpoint)]).await;
    let line = logged.iter().find(|line| line.contains("may not look at a queue"));
    assert!(line.is_some_and(|line| line.contains("AccessDenied")), "{logged:#?}");
}
