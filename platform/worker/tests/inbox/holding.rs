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

use crate::{
    queues::{Trouble, watched},
    world::{CountNotes, Gate, note, notes, once, settings, world, world_with},
};

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
async fn a_handlers_dependency_that_is_down_is_asked_itself_and_no_message_is_a_probe() {
    let mut world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let (queue, seen) = watched(world.queue, Trouble::Nothing);
    world.queue = queue;
    let up = Arc::new(AtomicBool::new(false));
    let (is_up, works) = (up.clone(), up.clone());
    let handler = CountNotes {
        is_up: Arc::new(move || is_up.load(Ordering::SeqCst)),
        ..CountNotes::failing(move |_| {
            (!works.load(Ordering::SeqCst)).then(|| HandlerError::unavailable("the mail server does not answer"))
        })
    };
    world.send(&notes(10)).await;
    // One transaction at a time, so that one call tells.
    let running = world.start_with(&handler, WorkerSettings { concurrency: 1, ..settings() }, schemas::Clock::system());
    eventually("it was probed", async || (handler.probes.load(Ordering::SeqCst) > 0).then_some(())).await;
    assert!(running.status.is_waiting_for_dependency());
    let (calls, polls) = (handler.calls(), seen.receives.load(Ordering::SeqCst));
    eventually("a dozen probes", async || (handler.probes.load(Ordering::SeqCst) > 12).then_some(())).await;
    assert_eq!(handler.calls(), calls, "no message was a probe");
    // Those that were under way when it went down may have ended since.
    assert!(seen.receives.load(Ordering::SeqCst) <= polls + 1, "polling stopped");
    world.send(&[note("n0010")]).await;
    up.store(true, Ordering::SeqCst);
    assert_eq!(world.until_applied(11).await, once(11));
    world.until_empty().await;
    assert!(!running.status.is_waiting_for_dependency());
    running.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

/// A handler that has no probe, or one that knows too little: its batches are tried one at a time, ever more seldom.
#[tokio::test]
async fn a_dependency_whose_probe_says_too_much_is_tried_by_one_batch_at_a_time() {
    let world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let down = Arc::new(AtomicBool::new(true));
    let handler = CountNotes::failing({
        let down = down.clone();
        move |_| down.load(Ordering::SeqCst).then(|| HandlerError::unavailable("the mail server does not answer"))
    });
    world.send(&notes(10)).await;
    let running = world.start(&handler);
    eventually("a dozen trials", async || (handler.calls() > 12).then_some(())).await;
    assert!(handler.probes.load(Ordering::SeqCst) >= 8, "each trial but those of the beginning follows a probe");
    down.store(false, Ordering::SeqCst);
    assert_eq!(world.until_applied(10).await, once(10));
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test]
async fn messages_are_handed_back_with_a_delay_when_a_dependency_stays_down_for_too_long() {
    let world = world().await;
    let handler = CountNotes {
        is_up: Arc::new(|| false),
        ..CountNotes::failing(|_| Some(HandlerError::unavailable("the mail server does not answer")))
    };
    world.send(&notes(3)).await;
    let settings = WorkerSettings { hold: Duration::from_millis(300), lease: Duration::from_secs(600), ..settings() };
    let running = world.start_with(&handler, settings, schemas::Clock::system());
    eventually("it was probed", async || (handler.probes.load(Ordering::SeqCst) > 0).then_some(())).await;
    eventually("they can be received again", async || (world.queue.counts().await.unwrap().visible == 3).then_some(()))
        .await;
    // It doesn't poll for them, since what they need is still down.
    assert!(running.status.is_waiting_for_dependency());
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
    world.queue = watched(world.queue, Trouble::LosesLeases).0;
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

#[tokio::test]
async fn a_queue_that_does_not_answer_for_a_while_is_polled_again() {
    let mut world = world().await;
    let (queue, seen) = watched(world.queue, Trouble::FirstPollsFail);
    world.queue = queue;
    world.send(&notes(5)).await;
    let running = world.start(&CountNotes::default());
    eventually("a poll that failed", async || (seen.receives.load(Ordering::SeqCst) > 0).then_some(())).await;
    assert_eq!(running.status.since_last_poll(), None, "which readiness goes by");
    assert_eq!(world.until_applied(5).await, once(5));
    assert!(running.status.since_last_poll().is_some());
    running.stop().await;
}
