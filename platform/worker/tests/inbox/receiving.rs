//! Polls: as many as there is work and room for.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fixtures::eventually;
use schemas::Clock;
use worker::WorkerSettings;

use crate::{
    queues::{Trouble, watched},
    world::{CountNotes, Gate, notes, once, settings, world},
};

#[tokio::test]
async fn polls_grow_while_they_come_back_full_and_go_back_to_one() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::Nothing);
    world.queue = queue;
    world.send(&notes(300)).await;
    let running =
        world.start_with(&CountNotes::default(), WorkerSettings { most_polls: 4, ..settings() }, Clock::system());
    assert_eq!(world.until_applied(300).await, once(300));
    world.until_empty().await;
    let most = seen.most_open.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} polls at a time");
    eventually("those of the load have ended", async || (seen.open.load(Ordering::SeqCst) <= 1).then_some(())).await;
    seen.most_open.store(0, Ordering::SeqCst);
    let before = seen.receives.load(Ordering::SeqCst);
    eventually("three more polls", async || (seen.receives.load(Ordering::SeqCst) >= before + 3).then_some(())).await;
    assert_eq!(seen.most_open.load(Ordering::SeqCst), 1, "an idle worker costs one poll at a time");
    running.stop().await;
}

#[tokio::test]
async fn a_worker_takes_no_more_in_hand_than_it_may() {
    let world = world().await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&notes(60)).await;
    let settings = WorkerSettings { most_held: 20, lease: Duration::from_secs(600), ..settings() };
    let running = world.start_with(&handler, settings, Clock::system());
    eventually("it has more than one poll brings", async || (running.status.in_flight() > 10).then_some(())).await;
    // Long enough for another poll, were there one: the queue still has the rest.
    let polled = running.status.since_last_poll().unwrap();
    eventually("time for two polls has passed", async || {
        (running.status.since_last_poll().unwrap() > polled + Duration::from_secs(2)).then_some(())
    })
    .await;
    let counts = world.queue.counts().await.unwrap();
    assert!(counts.in_flight <= 20 && counts.visible >= 40, "{counts:?}");
    gate.open_for_good();
    assert_eq!(world.until_applied(60).await, once(60));
    running.stop().await;
}
