use std::{sync::Arc, time::Duration};

use fixtures::eventually;
use messaging::ReceiveRequest;
use schemas::Clock;
use worker::WorkerSettings;

use crate::{
    queues::{Trouble, watched},
    world::{CountNotes, Gate, notes, once, settings, world},
};

#[tokio::test]
async fn stopping_finishes_the_batch_in_hand_and_hands_the_rest_back() {
    let world = world().await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&notes(60)).await;
    // One transaction of at most ten at a time, so that the rest waits in the worker.
    let settings = WorkerSettings { concurrency: 1, batch: 10, lease: Duration::from_secs(600), ..settings() };
    let running = world.start_with(&handler, settings, Clock::system());
    gate.entered.notified().await;
    eventually("the rest is received", async || (world.queue.counts().await.unwrap().in_flight == 60).then_some(()))
        .await;
    running.soft.cancel();
    gate.open.notify_one();
    running.stop().await;

    let applied = world.effects().await.len();
    assert!((1..=10).contains(&applied), "{applied} of the batch in hand");
    assert_eq!(handler.calls(), 1);
    // Handed back: to be had at once, although their lease was ten minutes.
    let mut seen = 0;
    eventually("the rest can be received at once", async || {
        let request = ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(600) };
        seen += world.queue.receive(request).await.unwrap().len();
        (seen == 60 - applied).then_some(())
    })
    .await;
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, applied as i64);
}

#[tokio::test]
async fn stopping_hard_rolls_back_what_runs_and_hands_it_back() {
    let world = world().await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&notes(5)).await;
    let settings = WorkerSettings { lease: Duration::from_secs(600), ..settings() };
    let running = world.start_with(&handler, settings, Clock::system());
    gate.entered.notified().await;
    running.soft.cancel();
    running.hard.cancel();
    running.ended().await.unwrap();
    assert!(world.effects().await.is_empty());

    let second = world.start(&CountNotes::default());
    assert_eq!(world.until_applied(5).await, once(5));
    second.stop().await;
}

#[tokio::test]
async fn settings_that_contradict_each_other_stop_the_worker_at_its_start() {
    let world = world().await;
    let settings = WorkerSettings { lease: Duration::from_millis(500), ..settings() };
    let error = world.start_with(&CountNotes::default(), settings, Clock::system()).ended().await.unwrap_err();
    assert!(matches!(error, worker::WorkerError::Settings(_)), "{error:?}");
}

#[tokio::test]
async fn nothing_is_received_any_more_once_a_worker_has_stopped() {
    let world = world().await;
    let running = world.start(&CountNotes::default());
    world.send(&notes(3)).await;
    world.until_applied(3).await;
    world.until_empty().await;
    running.stop().await;
    world.send(&notes(5)).await;
    let counts = world.queue.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (5, 0));
}

/// A worker without one of its parts would look well and do nothing, or do everything twice.
#[tokio::test]
async fn a_worker_of_which_a_part_dies_ends_with_an_error() {
    for trouble in [Trouble::PollsPanic, Trouble::DeletesPanic] {
        let mut world = world().await;
        world.queue = watched(world.queue, trouble).0;
        world.send(&notes(3)).await;
        let error = world.start(&CountNotes::default()).ended().await.unwrap_err();
        assert!(matches!(error, worker::WorkerError::Died(_)), "{trouble:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_loops_of_a_worker_tick_whatever_becomes_of_its_database() {
    let world = world().await;
    let running = world.start(&CountNotes::default());
    let ticks = async || {
        eventually("a tick", async || running.status.since_last_tick().filter(|age| *age < Duration::from_millis(400)))
            .await
    };
    ticks().await;
    world.database.take_down().await;
    world.send(&notes(5)).await;
    eventually("it waits for its database", async || running.status.is_waiting_for_dependency().then_some(())).await;
    ticks().await;
    world.database.bring_back().await;
    world.until_applied(5).await;
    running.stop().await;
}
