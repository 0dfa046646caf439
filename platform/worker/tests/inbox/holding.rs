use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fixtures::eventually;
use messaging::QueueSettings;
use worker::{HandlerError, WorkerSettings};

use crate::world::{CountNotes, Gate, LosesLeases, note, notes, once, settings, world, world_with};

const LEASE: Duration = Duration::from_secs(3);

/// Two receives would dead-letter: an outage that is retried through the queue could not end well.
#[tokio::test]
async fn a_database_that_is_down_for_many_leases_dead_letters_nothing_and_spends_no_receives() {
    let world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&notes(40)).await;
    let settings = WorkerSettings { lease: LEASE, ..settings() };
    let running = world.start_with(&handler, settings, schemas::Clock::system());
    gate.entered.notified().await;
    world.database.take_down().await;
    // What is in hand fails with its connection; whatever is received after it fails to begin.
    let down_since = tokio::time::Instant::now();
    eventually("four leases have passed", async || (down_since.elapsed() > 4 * LEASE).then_some(())).await;
    let counts = world.queue.counts().await.unwrap();
    assert_eq!(counts.visible + counts.in_flight, 40);
    world.database.bring_back().await;
    gate.open_for_good();
    assert_eq!(world.until_applied(40).await, once(40));
    world.until_empty().await;
    running.stop().await;
    let dead = world.dead_letters.counts().await.unwrap();
    assert_eq!(dead.visible + dead.in_flight, 0);
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test]
async fn a_handlers_dependency_that_is_down_holds_messages_and_counts_no_attempt() {
    let world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let down = Arc::new(AtomicBool::new(true));
    let handler = CountNotes::failing({
        let down = down.clone();
        move |_| down.load(Ordering::SeqCst).then(|| HandlerError::unavailable("the mail server does not answer"))
    });
    world.send(&notes(10)).await;
    let running = world.start(&handler);
    eventually("a dozen probes", async || (handler.calls() > 12).then_some(())).await;
    down.store(false, Ordering::SeqCst);
    assert_eq!(world.until_applied(10).await, once(10));
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test]
async fn a_handler_that_takes_longer_than_the_lease_keeps_its_messages() {
    let world = world().await;
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&[note("n0000")]).await;
    let settings = WorkerSettings { lease: LEASE, ..settings() };
    let running = world.start_with(&handler, settings, schemas::Clock::system());
    gate.entered.notified().await;
    let (queue, waited) = (world.queue.clone(), tokio::time::Instant::now());
    eventually("more than a lease has passed and nobody else got the message", async || {
        let request = messaging::ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(60) };
        assert!(queue.receive(request).await.unwrap().is_empty(), "the lease was not extended");
        (waited.elapsed() > 2 * LEASE).then_some(())
    })
    .await;
    gate.open_for_good();
    assert_eq!(world.until_applied(1).await, once(1));
    running.stop().await;
}

#[tokio::test]
async fn a_lost_lease_cancels_its_handler_and_rolls_back() {
    let mut world = world().await;
    world.queue = Arc::new(LosesLeases(world.queue));
    let gate = Arc::new(Gate::default());
    let handler = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&[note("n0000")]).await;
    let running = world.start(&handler);
    gate.entered.notified().await;
    eventually("the transaction is rolled back", async || {
        let open = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        (world.count(open).await == 0).then_some(())
    })
    .await;
    assert!(world.effects().await.is_empty());
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 0);
    running.stop().await;
}

/// Two receives would dead-letter here too.
#[tokio::test]
async fn a_lock_that_stays_for_many_leases_spends_no_receives() {
    let world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let mut locked = world.database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE effects IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();
    world.send(&notes(10)).await;
    let settings = WorkerSettings { lease: LEASE, ..settings() };
    let running = world.start_with(&CountNotes::default(), settings, schemas::Clock::system());
    let locked_since = tokio::time::Instant::now();
    eventually("four leases have passed", async || (locked_since.elapsed() > 4 * LEASE).then_some(())).await;
    locked.rollback().await.unwrap();
    assert_eq!(world.until_applied(10).await, once(10));
    world.until_empty().await;
    running.stop().await;
    let dead = world.dead_letters.counts().await.unwrap();
    assert_eq!(dead.visible + dead.in_flight, 0);
}
