use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fixtures::eventually;
use messaging::{QueueSettings, RawMessage, ReceiveRequest};
use schemas::Clock;
use worker::{HandlerError, Verdict, WorkerSettings};

use crate::world::{CountNotes, World, note, notes, once, settings, world, world_with};

fn is_poison(note: &str) -> bool {
    note.starts_with("poison")
}

#[tokio::test]
async fn a_rejected_event_is_isolated_and_dead_lettered_at_once() {
    let world = world().await;
    let mut all = notes(60);
    all.insert(20, note("poison"));
    world.send(&all).await;
    let handler = CountNotes::failing(|note| is_poison(note).then(|| HandlerError::reject("no such product")));
    let running = world.start(&handler);
    assert_eq!(world.until_applied(60).await, once(60));
    let dead = world.until_dead(1).await;
    world.until_empty().await;
    running.stop().await;
    let report = dead[0].1.as_ref().unwrap();
    assert_eq!((report.reason.as_str(), report.attempts, report.receive_count), ("rejected", 1, 1));
    assert_eq!(report.message, "no such product");
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 60);
}

#[tokio::test]
async fn an_unclassified_error_and_a_panic_blame_one_event_and_get_all_their_attempts() {
    let world = world().await;
    let mut all = notes(20);
    all.push(note("poison"));
    all.push(note("bomb"));
    world.send(&all).await;
    let handler = CountNotes::failing(|note| match note {
        "poison" => Some(HandlerError::unclassified("who knows")),
        "bomb" => panic!("boom"),
        _ => None,
    });
    let running = world.start_with(&handler, WorkerSettings { max_attempts: 3, ..settings() }, Clock::system());
    world.until_applied(20).await;
    let dead = world.until_dead(2).await;
    running.stop().await;
    for (_, report) in dead {
        assert_eq!(report.unwrap().attempts, 3);
    }
    assert_eq!(world.effects().await, once(20));
    let attempts = "SELECT count(*) FROM event_failures WHERE class = 'unclassified' AND attempt IN (1, 2, 3)";
    assert_eq!(world.count(attempts).await, 6);
    assert_eq!(world.count("SELECT count(*) FROM event_failures WHERE dead_lettered").await, 2);
}

#[tokio::test]
async fn an_event_that_asks_for_another_attempt_gets_it_and_is_applied() {
    let world = world().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let handler = CountNotes::failing({
        let tries = tries.clone();
        move |_| (tries.fetch_add(1, Ordering::SeqCst) < 2).then(|| HandlerError::retry("not yet"))
    });
    world.send(&[note("n0000")]).await;
    let running = world.start(&handler);
    assert_eq!(world.until_applied(1).await, once(1));
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.count("SELECT max(attempt)::int8 FROM event_failures").await, 2);
}

#[tokio::test]
async fn a_verdict_names_the_event_at_fault_without_a_second_transaction() {
    let world = world().await;
    let mut all = notes(9);
    all.push(note("poison"));
    let handler = CountNotes {
        verdict: Arc::new(|note| match is_poison(note) {
            true => Verdict::Reject("no such product".into()),
            false => Verdict::Applied,
        }),
        ..CountNotes::default()
    };
    world.send(&all).await;
    let running = world.start(&handler);
    assert_eq!(world.until_applied(9).await, once(9));
    let dead = world.until_dead(1).await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(dead[0].1.as_ref().unwrap().reason, "rejected");
    // No claim was left for it: a replay is applied.
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 9);
}

#[tokio::test]
async fn a_dead_lettered_event_that_is_replayed_is_applied() {
    let world = world().await;
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let handler = CountNotes::failing({
        let broken = broken.clone();
        move |_| broken.load(Ordering::SeqCst).then(|| HandlerError::reject("a bug"))
    });
    world.send(&[note("n0000")]).await;
    let running = world.start(&handler);
    let dead = world.until_dead(1).await;
    world.until_empty().await;
    assert!(world.effects().await.is_empty());

    broken.store(false, Ordering::SeqCst);
    world.send(&[dead[0].0.to_outgoing()]).await;
    assert_eq!(world.until_applied(1).await, once(1));
    world.until_empty().await;
    running.stop().await;
}

#[tokio::test]
async fn a_broken_constraint_says_which_and_quotes_no_data() {
    let world = world().await;
    sqlx::query("ALTER TABLE effects ADD CONSTRAINT no_ada CHECK (note NOT LIKE 'ada%')")
        .execute(&world.database.pool)
        .await
        .unwrap();
    world.send(&[note("ada@example.com"), note("n0000")]).await;
    let running = world.start(&CountNotes::default());
    let dead = world.until_dead(1).await;
    world.until_applied(1).await;
    running.stop().await;
    let report = dead[0].1.clone().unwrap();
    assert_eq!(report.message, "SQLSTATE 23514, table effects, constraint no_ada");
    let stored: String = sqlx::query_scalar("SELECT string_agg(f::text, ' ') FROM event_failures f")
        .fetch_one(&world.database.pool)
        .await
        .unwrap();
    assert!(!stored.contains("ada@") && !format!("{report:?}").contains("ada@"), "{stored}");
}

#[tokio::test]
async fn a_message_whose_worker_died_often_runs_alone_and_one_whose_failures_are_recorded_does_not() {
    let world = world_with(QueueSettings { max_receive_count: 50, ..QueueSettings::DEFAULT }).await;
    world.send(&notes(12)).await;
    for _ in 0..3 {
        hand_back_all(&world, 12).await;
    }
    let handler = CountNotes::default();
    let running = world.start(&handler);
    assert_eq!(world.until_applied(12).await, once(12));
    world.until_empty().await;
    running.stop().await;
    assert_eq!(handler.calls(), 12, "each suspect had a transaction of its own");

    // The same history, but explained by recorded failures: an ordinary batch.
    world.send(&notes(12)).await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages = hand_back_all(&world, 12).await;
    }
    for message in &messages {
        record_failure(&world, message, 3).await;
    }
    let handler = CountNotes::default();
    let running = world.start(&handler);
    eventually("the second round", async || {
        let effects = world.effects().await;
        effects.values().all(|times| *times == 2).then_some(())
    })
    .await;
    running.stop().await;
    assert!(handler.calls() < 12, "{} transactions for 12 events", handler.calls());
}

#[tokio::test]
async fn an_event_that_failed_once_and_then_killed_workers_is_a_suspect_all_the_same() {
    let world = world_with(QueueSettings { max_receive_count: 50, ..QueueSettings::DEFAULT }).await;
    world.send(&notes(12)).await;
    for message in hand_back_all(&world, 12).await {
        record_failure(&world, &message, 1).await;
    }
    for _ in 0..2 {
        hand_back_all(&world, 12).await;
    }
    let handler = CountNotes::default();
    let running = world.start(&handler);
    assert_eq!(world.until_applied(12).await, once(12));
    running.stop().await;
    assert_eq!(handler.calls(), 12, "each suspect had a transaction of its own");
}

#[tokio::test]
async fn an_event_that_is_not_ready_is_isolated_and_its_neighbours_are_applied() {
    let world = world().await;
    let mut all = notes(30);
    all.insert(11, note("poison"));
    world.send(&all).await;
    let handler = CountNotes::failing(|note| is_poison(note).then(|| HandlerError::retry("not yet")));
    let running = world.start_with(&handler, WorkerSettings { max_attempts: 2, ..settings() }, Clock::system());
    assert_eq!(world.until_applied(30).await, once(30));
    let dead = world.until_dead(1).await;
    running.stop().await;
    let report = dead[0].1.as_ref().unwrap();
    assert_eq!((report.reason.as_str(), report.attempts), ("retries-exhausted", 2));
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 2);
}

/// PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error.
#[tokio::test]
async fn a_handler_that_swallows_a_database_error_loses_nothing() {
    let world = world().await;
    world.send(&notes(3)).await;
    let handler = CountNotes { swallows: true, ..CountNotes::default() };
    let running = world.start_with(&handler, WorkerSettings { max_attempts: 2, ..settings() }, Clock::system());
    let dead = world.until_dead(3).await;
    running.stop().await;
    assert!(dead.iter().all(|(_, report)| report.as_ref().unwrap().message.contains("25P02")), "{dead:?}");
    assert!(world.effects().await.is_empty());
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 0);
}

#[tokio::test]
async fn a_replayed_event_has_all_its_attempts_again() {
    let world = world().await;
    let poison = note("poison");
    let handler = CountNotes::failing(|_| Some(HandlerError::retry("not yet")));
    let running = world.start_with(&handler, WorkerSettings { max_attempts: 3, ..settings() }, Clock::system());
    for _ in 0..2 {
        world.send(std::slice::from_ref(&poison)).await;
        let dead = world.until_dead(1).await;
        assert_eq!(dead[0].1.as_ref().unwrap().attempts, 3);
    }
    running.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM event_failures WHERE attempt <= 3").await, 6);
}

async fn record_failure(world: &World, message: &RawMessage, receive_count: i32) {
    let (envelope, key) = schemas::Envelope::read(&message.body).unwrap();
    worker::maintain_inbox(&world.database.pool, Clock::system().now()).await.unwrap();
    sqlx::query(
        "INSERT INTO event_failures (failure_id, event_key, event_id, message_id, queue, attempt, class, reason,
             message, causes, fingerprint, worker, version, receive_count, dead_lettered, failed_at)
         VALUES ($1, $2, $3, $4, 'q', 1, 'retry', 'r', 'm', '{}', 'f', 'w', 'v', $5, false, now())",
    )
    .bind(schemas::event_id(Clock::system().now()))
    .bind(key.as_uuid())
    .bind(envelope.id)
    .bind(&message.id.0)
    .bind(receive_count)
    .execute(&world.database.pool)
    .await
    .unwrap();
}

/// Receives everything once and hands it back at once.
async fn hand_back_all(world: &World, count: usize) -> Vec<RawMessage> {
    let request = ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(600) };
    let mut held = Vec::new();
    eventually("all messages received", async || {
        held.extend(world.queue.receive(request).await.unwrap());
        (held.len() == count).then_some(())
    })
    .await;
    let changes: Vec<_> = held.iter().map(|message| (message.receipt.clone(), Duration::ZERO)).collect();
    assert!(world.queue.change_visibility(&changes).await.iter().all(Result::is_ok));
    held
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_cancelled_at_the_server_and_blames_one_event() {
    let world = world().await;
    let mut all = notes(7);
    all.insert(3, note("stuck"));
    world.send(&all).await;
    let handler = CountNotes { stuck_on: Some("stuck"), ..CountNotes::default() };
    // A long lease, so that no other limit of the transaction comes first.
    let settings = WorkerSettings {
        handler_timeout: Duration::from_millis(300),
        lease: Duration::from_secs(600),
        max_attempts: 2,
        ..settings()
    };
    let running = world.start_with(&handler, settings, Clock::system());
    assert_eq!(world.until_applied(7).await, once(7));
    let dead = world.until_dead(1).await;
    let report = dead[0].1.as_ref().unwrap();
    assert_eq!((report.reason.as_str(), report.attempts), ("timed-out", 2));
    assert_eq!(report.message, "took longer than 300ms");
    let asleep =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%'
                     AND pid <> pg_backend_pid() AND state = 'active'";
    assert_eq!(world.count(asleep).await, 0, "its statement should have ended at the server");
    world.until_empty().await;
    running.stop().await;
}
