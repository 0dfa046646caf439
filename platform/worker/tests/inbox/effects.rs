//! Effects: performed at least once, recorded, and never under a transaction.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fixtures::eventually;
use messaging::QueueSettings;
use schemas::Clock;
use sqlx::PgPool;
use tokio::sync::watch;
use worker::{Consumer, Effect, HandlerError, PerformEffect, Received, WorkerSettings};

use crate::world::{NoteTakenV1, note, notes, once, settings, world, world_with};

/// Reads notes aloud, as it were: what it did is in its own memory, as an effect outside would be.
#[derive(Clone)]
struct ReadAloud(Arc<Room>);

type Script = dyn Fn(&str) -> Option<HandlerError> + Send + Sync;

struct Room {
    heard: Mutex<BTreeMap<String, i32>>,
    /// Notes whose reading doesn't end while this is set.
    endless: watch::Sender<bool>,
    voice_is_gone: AtomicBool,
    script: Box<Script>,
    probes: Mutex<u32>,
    pool: PgPool,
}

impl ReadAloud {
    fn new(pool: &PgPool) -> Self {
        Self::failing(pool, |_| None)
    }

    fn failing(pool: &PgPool, script: impl Fn(&str) -> Option<HandlerError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Room {
            heard: Mutex::default(),
            endless: watch::Sender::new(false),
            voice_is_gone: AtomicBool::new(false),
            script: Box::new(script),
            probes: Mutex::default(),
            pool: pool.clone(),
        }))
    }

    fn heard(&self) -> BTreeMap<String, i32> {
        self.0.heard.lock().unwrap().clone()
    }

    fn consumer(&self) -> Consumer {
        Consumer::named("notes").perform(self.clone()).build()
    }
}

#[async_trait]
impl PerformEffect for ReadAloud {
    type Event = NoteTakenV1;

    const NAME: &'static str = "read_aloud";
    const READS: &'static [&'static str] = &["/note"];
    const AT_A_TIME: usize = 4;

    async fn perform(&self, received: &Received<'_, NoteTakenV1>) -> Result<Effect, HandlerError> {
        let note = &received.event.note;
        if note == "alone" {
            let open = "SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            let open: i64 = sqlx::query_scalar(open).fetch_one(&self.0.pool).await?;
            assert_eq!(open, 0, "a transaction is held across an effect");
        }
        if self.0.voice_is_gone.load(Ordering::SeqCst) {
            return Err(HandlerError::unavailable("no voice"));
        }
        if let Some(error) = (self.0.script)(note) {
            return Err(error);
        }
        if note.starts_with("expired") {
            return Ok(Effect::NotNeeded);
        }
        *self.0.heard.lock().unwrap().entry(note.clone()).or_default() += 1;
        if note.starts_with("endless") {
            self.0.endless.subscribe().wait_for(|endless| !endless).await.map_err(HandlerError::unclassified)?;
        }
        Ok(Effect::Performed)
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.0.probes.lock().unwrap() += 1;
        if self.0.voice_is_gone.load(Ordering::SeqCst) { Err("still hoarse".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_effect_is_performed_and_recorded_and_its_copies_are_acknowledged_without_it() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    let all = notes(12);
    world.send(&all).await;
    world.send(&[all[0].clone(), note("expired")]).await;
    let running = world.start_consumer(room.consumer(), settings(), Clock::system());
    world.until_empty().await;
    world.send(&all[..5]).await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(room.heard(), once(12));
    assert_eq!(world.count("SELECT count(*) FROM event_logs WHERE handler = 'read_aloud'").await, 13);
    assert_eq!(world.count("SELECT sum(redeliveries) FROM event_logs").await, 6);
}

#[tokio::test]
async fn no_transaction_is_open_while_an_effect_is_performed() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    world.send(&[note("alone")]).await;
    let running = world.start_consumer(room.consumer(), settings(), Clock::system());
    world.until_empty().await;
    running.stop().await;
    assert_eq!(room.heard()["alone"], 1);
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test]
async fn an_effect_whose_worker_died_before_recording_it_is_performed_again() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.endless.send_replace(true);
    world.send(&[note("endless")]).await;
    let first = world.start_consumer(room.consumer(), settings(), Clock::system());
    eventually("the effect", async || room.heard().contains_key("endless").then_some(())).await;
    first.kill().await;
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 0);
    room.0.endless.send_replace(false);
    let second = world.start_consumer(room.consumer(), settings(), Clock::system());
    world.until_empty().await;
    second.stop().await;
    assert_eq!(room.heard()["endless"], 2, "at least once");
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
}

#[tokio::test]
async fn a_slow_effect_holds_up_no_other() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.endless.send_replace(true);
    world.send(&[note("endless")]).await;
    world.send(&notes(25)).await;
    let running = world.start_consumer(room.consumer(), settings(), Clock::system());
    eventually("all others are acknowledged", async || {
        let counts = world.queue.counts().await.unwrap();
        (room.heard().len() == 26 && (counts.visible, counts.in_flight) == (0, 1)).then_some(())
    })
    .await;
    room.0.endless.send_replace(false);
    world.until_empty().await;
    running.stop().await;
    assert!(room.heard().values().all(|times| *times == 1), "{:?}", room.heard());
}

#[tokio::test]
async fn an_effect_that_fails_has_all_its_attempts_and_one_that_is_rejected_has_one() {
    let world = world().await;
    let room = ReadAloud::failing(&world.database.pool, |note| match note {
        "illegible" => Some(HandlerError::reject("can't be read")),
        "mumbled" => Some(HandlerError::retry("try again")),
        "stumbled" => panic!("stumbled"),
        _ => None,
    });
    world.send(&["illegible", "mumbled", "stumbled", "n0000"].map(note)).await;
    let settings = WorkerSettings { max_attempts: 2, ..settings() };
    let running = world.start_consumer(room.consumer(), settings, Clock::system());
    let dead = world.until_dead(3).await;
    world.until_empty().await;
    running.stop().await;
    let mut reasons: Vec<_> = dead
        .iter()
        .map(|(_, report)| report.as_ref().map(|report| (report.reason.as_str(), report.attempts)).unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [("failed", 2), ("rejected", 1), ("retries-exhausted", 2)]);
    assert_eq!(room.heard(), once(1));
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
}

#[tokio::test]
async fn an_effect_that_takes_too_long_is_given_up() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.endless.send_replace(true);
    world.send(&[note("endless")]).await;
    let settings = WorkerSettings { handler_timeout: Duration::from_millis(200), max_attempts: 1, ..settings() };
    let running = world.start_consumer(room.consumer(), settings, Clock::system());
    let dead = world.until_dead(1).await;
    running.stop().await;
    assert_eq!(dead[0].1.as_ref().unwrap().reason, "timed-out");
}

/// Two receives would dead-letter.
#[tokio::test]
async fn what_an_effect_needs_is_asked_itself_while_it_is_down_and_messages_are_held() {
    let world = world_with(QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT }).await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.voice_is_gone.store(true, Ordering::SeqCst);
    world.send(&notes(10)).await;
    let settings = WorkerSettings { lease: Duration::from_secs(3), ..settings() };
    let running = world.start_consumer(room.consumer(), settings, Clock::system());
    eventually("a dozen probes", async || (*room.0.probes.lock().unwrap() > 12).then_some(())).await;
    assert!(running.status.is_waiting_for_dependency());
    room.0.voice_is_gone.store(false, Ordering::SeqCst);
    world.until_empty().await;
    running.stop().await;
    assert_eq!(room.heard(), once(10));
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

/// Recording must not need the lease: a record that is given up is an effect that is repeated.
#[tokio::test]
async fn an_effect_is_recorded_also_while_the_database_was_away_after_it() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.endless.send_replace(true);
    world.send(&[note("endless")]).await;
    let running = world.start_consumer(room.consumer(), settings(), Clock::system());
    eventually("the effect", async || room.heard().contains_key("endless").then_some(())).await;
    world.database.take_down().await;
    room.0.endless.send_replace(false);
    eventually("it is noticed", async || running.status.is_waiting_for_dependency().then_some(())).await;
    world.database.bring_back().await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(room.heard()["endless"], 1);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
}

#[tokio::test]
async fn stopping_finishes_the_effects_that_run_and_hands_the_rest_back() {
    let world = world().await;
    let room = ReadAloud::new(&world.database.pool);
    room.0.endless.send_replace(true);
    let endless: Vec<_> = (0..10).map(|n| note(&format!("endless{n}"))).collect();
    world.send(&endless).await;
    let settings = WorkerSettings { lease: Duration::from_secs(600), ..settings() };
    let running = world.start_consumer(room.consumer(), settings, Clock::system());
    eventually("four at a time", async || (room.heard().len() == 4).then_some(())).await;
    running.soft.cancel();
    room.0.endless.send_replace(false);
    running.stop().await;
    assert_eq!(room.heard().len(), 4);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 4);
    eventually("the rest can be received at once", async || {
        let counts = world.queue.counts().await.unwrap();
        ((counts.visible, counts.in_flight) == (6, 0)).then_some(())
    })
    .await;
}
