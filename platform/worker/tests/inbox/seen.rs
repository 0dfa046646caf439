//! The rows by which a fleet is seen.

use std::{sync::Arc, time::Duration};

use fixtures::eventually;
use schemas::Clock;
use worker::{HEARTBEAT_EVERY, WorkerSettings, fleet};

use crate::world::{CountNotes, Gate, notes, settings, world};

fn called(name: &str) -> WorkerSettings {
    WorkerSettings { worker: name.to_owned(), ..settings() }
}

#[tokio::test]
async fn a_worker_is_seen_while_it_works_and_not_after_it_stopped() {
    let world = world().await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&notes(7)).await;
    let running = world.start_with(&handler, called("host:1"), Clock::system());
    let seen = eventually("a heartbeat that tells of what is in hand", async || {
        fleet(&world.database.pool).await.unwrap().pop().filter(|seen| seen.in_flight == 7)
    })
    .await;
    assert_eq!((seen.worker.as_str(), seen.consumer.as_str()), ("host:1", "notes"));
    assert_eq!((seen.version.as_str(), seen.state.as_str()), ("0.0.0-test", "working"));
    assert_eq!(seen.queue, world.queue.name());
    assert!(seen.last_poll_at.is_some());
    gate.open_for_good();
    world.until_applied(7).await;
    eventually("a heartbeat that tells how fast it is", async || {
        fleet(&world.database.pool).await.unwrap().pop().filter(|seen| seen.applied_per_second > 0.0)
    })
    .await;
    running.stop().await;
    assert_eq!(fleet(&world.database.pool).await.unwrap(), []);
}

#[tokio::test]
async fn a_killed_worker_leaves_a_row_that_grows_old_and_is_forgotten_after_a_day() {
    let world = world().await;
    let first = world.start_with(&CountNotes::default(), called("host:1"), Clock::system());
    eventually("a heartbeat", async || (fleet(&world.database.pool).await.unwrap().len() == 1).then_some(())).await;
    first.kill().await;
    let now = Clock::system().now();
    let seen = fleet(&world.database.pool).await.unwrap().remove(0);
    assert!(!seen.is_gone(now) && seen.is_gone(now + 4 * HEARTBEAT_EVERY));

    // Another one, a day later.
    let later = move || Clock::system().now() + Duration::from_secs(24 * 60 * 60 + 60);
    let second = world.start_with(&CountNotes::default(), called("host:2"), Clock::reading(later));
    let workers = eventually("the second worker alone", async || {
        let fleet = fleet(&world.database.pool).await.unwrap();
        (fleet.len() == 1 && fleet[0].worker == "host:2").then_some(fleet)
    })
    .await;
    assert!(workers[0].seen_at > now + Duration::from_secs(24 * 60 * 60));
    second.stop().await;
}

/// A release of the worker may be there before its migration.
#[tokio::test]
async fn a_worker_that_can_not_be_seen_works_all_the_same() {
    let world = world().await;
    sqlx::query("DROP TABLE workers").execute(&world.database.pool).await.unwrap();
    world.send(&notes(5)).await;
    let running = world.start(&CountNotes::default());
    world.until_applied(5).await;
    world.until_empty().await;
    running.stop().await;
}
