//! Acknowledgements: after the commit, together, each by its own answer, and never forgotten.

use fixtures::eventually;
use schemas::Clock;
use worker::WorkerSettings;

use crate::{
    queues::{Trouble, watched},
    world::{CountNotes, notes, once, settings, world},
};

#[tokio::test]
async fn acknowledgements_go_ten_to_a_request() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::Nothing);
    world.queue = queue;
    world.send(&notes(200)).await;
    let running = world.start_with(&CountNotes::default(), WorkerSettings { batch: 20, ..settings() }, Clock::system());
    assert_eq!(world.until_applied(200).await, once(200));
    world.until_empty().await;
    running.stop().await;
    let deletes = seen.deletes.lock().unwrap();
    assert_eq!(deletes.iter().map(Vec::len).sum::<usize>(), 200);
    // A batch of twenty makes two full requests; the last ones of the queue may come in smaller ones.
    assert!(deletes.len() <= 40, "{} requests for 200 messages", deletes.len());
}

#[tokio::test]
async fn an_acknowledgement_that_failed_is_asked_for_again_and_its_neighbours_are_not() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::FailsEachDeletionOnce);
    world.queue = queue;
    world.send(&notes(30)).await;
    let settings = WorkerSettings { lease: std::time::Duration::from_secs(600), ..settings() };
    let running = world.start_with(&CountNotes::default(), settings, Clock::system());
    assert_eq!(world.until_applied(30).await, once(30));
    world.until_empty().await;
    running.stop().await;
    let deleted: usize = seen.deletes.lock().unwrap().iter().map(Vec::len).sum();
    assert_eq!(deleted, 60, "each twice, since each failed once");
    assert_eq!(world.count("SELECT coalesce(sum(redeliveries), 0)::int8 FROM event_logs").await, 0);
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_the_answers_to_its_acknowledgements() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::DeletesLate);
    world.queue = queue;
    world.send(&notes(25)).await;
    let settings = WorkerSettings { lease: std::time::Duration::from_secs(600), ..settings() };
    let running = world.start_with(&CountNotes::default(), settings, Clock::system());
    assert_eq!(world.until_applied(25).await, once(25));
    running.soft.cancel();
    eventually("an acknowledgement is asked for", async || (!seen.deletes.lock().unwrap().is_empty()).then_some(()))
        .await;
    assert!(running.status.in_flight() > 0, "what is not answered is held");
    seen.may_delete.send_replace(true);
    running.stop().await;
    let counts = world.queue.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
}

/// Until it is answered, its lease is kept: slow deletes must not let finished work come again.
#[tokio::test]
async fn what_waits_for_its_acknowledgement_is_still_hidden_from_others() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::DeletesLate);
    world.queue = queue;
    world.send(&notes(5)).await;
    let lease = std::time::Duration::from_secs(3);
    let running = world.start_with(&CountNotes::default(), WorkerSettings { lease, ..settings() }, Clock::system());
    world.until_applied(5).await;
    let applied = tokio::time::Instant::now();
    eventually("three leases have passed", async || (applied.elapsed() > 3 * lease).then_some(())).await;
    let counts = world.queue.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (0, 5));
    seen.may_delete.send_replace(true);
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.count("SELECT coalesce(sum(redeliveries), 0)::int8 FROM event_logs").await, 0);
}
