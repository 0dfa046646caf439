//! Processes that end before their work does.

use std::process::Stdio;

use fixtures::{TestBus, eventually, on_both_buses};
use messaging::{OutgoingMessage, ReceiveRequest};
use schemas::Envelope;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
};

use super::{WHY, event};
use crate::{
    running::{Installation, signal},
    waypost,
};

on_both_buses!(
    a_replay_that_is_killed_is_found_in_the_history_and_resumed,
    ctrl_c_stops_a_replay_between_letters_and_it_can_be_resumed,
    stats_go_on_until_somebody_stops_them_and_hold_nothing,
);

const LETTERS: usize = 40;

impl Installation {
    async fn replaying_slowly(&self) -> (Vec<String>, Child) {
        let events: Vec<_> = (0..LETTERS).map(|_| event("ada@example.com")).collect();
        let messages: Vec<OutgoingMessage> = events.iter().map(|(_, message)| message.clone()).collect();
        self.bury(&messages).await;
        let replay = [&["dlq", "replay", "--all-matching", "--rate", "10/s"][..], &WHY].concat();
        let child =
            waypost(&replay, &[]).envs(self.environment()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("some letters are sent", async || (self.visible("user-service").await >= 3).then_some(())).await;
        (events.into_iter().map(|(id, _)| id).collect(), child)
    }

    /// Whose events are in the consumer's queue, each once or more.
    async fn replayed(&self) -> Vec<String> {
        let queue = self.queue("user-service").await;
        let request = ReceiveRequest {
            max: 10,
            wait: std::time::Duration::from_secs(1),
            visibility: std::time::Duration::from_secs(60),
        };
        let mut ids = Vec::new();
        loop {
            let received = queue.receive(request).await.unwrap();
            if received.is_empty() {
                ids.sort();
                ids.dedup();
                return ids;
            }
            ids.extend(received.iter().map(|message| Envelope::read(&message.body).unwrap().0.id));
        }
    }
}

async fn a_replay_that_is_killed_is_found_in_the_history_and_resumed(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (mut ids, mut child) = installation.replaying_slowly().await;
    child.kill().await.unwrap();
    let unfinished = eventually("its end is noticed", async || {
        let history = installation.dlq(&["history"], 0).await;
        (history[0]["state"] == "unfinished").then(|| history[0].clone())
    })
    .await;
    assert!(unfinished["left"].as_u64().unwrap() > 0, "{unfinished}");
    let operation = unfinished["operation"].as_str().unwrap();
    let (_, stderr) = installation.told(&["resume", operation, "--reason", "after the crash"], 0).await;
    assert!(stderr.contains("letters are left to do"), "{stderr}");
    ids.sort();
    assert_eq!(installation.replayed().await, ids);
    let counts = installation.queue("user-service-dlq").await.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
    let history = installation.dlq(&["history", operation], 0).await;
    assert_eq!((&history["operation"]["state"], &history["operation"]["left"]), (&json!("ended"), &json!(0)));
    let resumed = |entry: &&Value| entry["outcome"] == "resumed";
    let resumed = history["entries"].as_array().unwrap().iter().find(resumed).unwrap().clone();
    assert!(resumed["detail"].as_str().unwrap().contains("after the crash"), "{resumed}");
}

async fn ctrl_c_stops_a_replay_between_letters_and_it_can_be_resumed(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (mut ids, mut child) = installation.replaying_slowly().await;
    signal(&child, "INT").await;
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    // What it held is visible at once, and what it sent is deleted.
    let counts = installation.queue("user-service-dlq").await.counts().await.unwrap();
    assert_eq!(counts.in_flight, 0);
    let history = installation.dlq(&["history"], 0).await;
    assert_eq!((&history[0]["state"], &history[0]["left"]), (&json!("interrupted"), &json!(counts.visible)));
    let operation = history[0]["operation"].as_str().unwrap();
    installation.told(&["resume", operation, "--reason", "on with it"], 0).await;
    ids.sort();
    assert_eq!(installation.replayed().await, ids);
    assert_eq!(installation.visible("user-service-dlq").await, 0);
}

async fn stats_go_on_until_somebody_stops_them_and_hold_nothing(bus: TestBus) {
    let installation = Installation::make(bus).await;
    installation.bury(&[event("ada@example.com").1]).await;
    let mut child = waypost(&["dlq", "stats", "--consumer", "user-service", "--watch", "--every", "1", "--json"], &[])
        .envs(installation.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = tokio::time::timeout(fixtures::DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let tick: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&tick["deadLetters"]["visible"], &tick["deadLetters"]["inFlight"]), (&json!(1), &json!(0)));
    }
    signal(&child, "INT").await;
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
