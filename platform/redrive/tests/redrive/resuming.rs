//! Killed at each state of the journal, and gone on with.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fixtures::{TestBus, eventually, on_both_buses};
use messaging::{OutgoingMessage, Queue, ReceiveRequest};
use redrive::{
    Decision, Operation, OperationError, Pace, Places, Plan, Planned, Verb, archive, audit, edit::Edit, journal,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::place::{KilledAt, Place, Stopping, approval, letter};

on_both_buses!(
    a_replay_that_is_killed_at_any_moment_is_resumed_and_loses_nothing,
    a_discard_that_is_killed_between_archive_and_delete_is_resumed,
    an_edit_that_is_killed_before_it_is_sent_is_resumed_as_it_was_edited,
    an_operation_that_runs_cannot_be_resumed_and_one_that_ended_neither,
    two_operators_who_replay_at_once_send_every_letter_once,
);

/// What would fail as it lies there is sent as it was mended, and never as it was.
async fn an_edit_that_is_killed_before_it_is_sent_is_resumed_as_it_was_edited(bus: TestBus) {
    let place = Place::make(&bus).await;
    let good = letter();
    let broken = good.message.body.replace("ada@example.com", "no address");
    let broken = OutgoingMessage { body: broken, ..OutgoingMessage::default() };
    place.places.dead_letters.send(&[broken]).await.pop().unwrap().unwrap();
    let (pool, clock) = (&place.database.pool, &place.clock);
    let snapshot = place.snapshot().await;
    let mut plan = place.plan(&snapshot, Verb::Edit).await;
    assert_eq!(plan.letters[0].decision.name(), "would-fail");
    plan.letters[0].decision = Decision::Replay;
    let found = snapshot.read(&[0], pool).await.unwrap().pop().unwrap();
    let edit = Edit::of(&found, &good.message.body, &place.inbox).unwrap();
    let begun = Operation::begin(pool, clock, &plan, &snapshot, Some((&found, &edit)), &approval()).await.unwrap();
    drop((begun, snapshot));

    let carried = resume(&place, &plan).await;
    assert_eq!(carried.letters[0].outcome, "replayed", "{carried:?}");
    let request = ReceiveRequest { max: 1, wait: Duration::from_secs(1), visibility: Duration::from_secs(60) };
    let sent = place.places.queue.receive(request).await.unwrap().pop().unwrap();
    let as_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(as_json(&sent.body), as_json(&good.message.body));
}

/// Begins an operation, and drops all that a process has of it at one moment, as a kill does.
async fn kill_at(place: &Place, verb: Verb, at: KilledAt) -> Plan {
    let reached = Arc::new(Notify::new());
    let stopping = |queue: &Arc<dyn Queue>| {
        let seen = Mutex::default();
        Arc::new(Stopping { queue: queue.clone(), at, reached: reached.clone(), seen }) as Arc<dyn Queue>
    };
    let places = Places { dead_letters: stopping(&place.places.dead_letters), queue: stopping(&place.places.queue) };
    let snapshot = redrive::Snapshot::take(
        places.dead_letters.clone(),
        redrive::Look::default(),
        &CancellationToken::new(),
        |_, _| {},
    )
    .await
    .unwrap();
    let plan = place.plan(&snapshot, verb).await;
    let begun = plan.clone();
    let (pool, clock) = (place.database.pool.clone(), place.clock.clone());
    let process = tokio::spawn(async move {
        let operation = Operation::begin(&pool, &clock, &plan, &snapshot, None, &approval()).await.unwrap();
        let stop = CancellationToken::new();
        operation
            .carry_out(&places, &snapshot, &plan, &[], &Pace::default(), &approval(), &stop, |_| {})
            .await
            .unwrap();
    });
    tokio::time::timeout(fixtures::DEADLINE, reached.notified()).await.unwrap();
    process.abort();
    assert!(process.await.unwrap_err().is_cancelled());
    begun
}

async fn resume(place: &Place, killed: &Plan) -> redrive::Carried {
    // The lock goes with the connection, which the server has to notice.
    let (operation, rows) = eventually("the killed process's lock is free", async || {
        let queue = &*place.places.dead_letters;
        let resumed = Operation::resume(&place.database.pool, &place.clock, killed.operation, queue, &approval()).await;
        match resumed {
            Err(OperationError::Runs(_)) => None,
            resumed => Some(resumed.unwrap()),
        }
    })
    .await;
    assert_ne!(rows, Vec::<journal::Row>::new());
    let mut plan = killed.clone();
    plan.letters = rows
        .iter()
        .map(|row| Planned {
            key: row.letter_key.clone(),
            id: row.letter_id.clone(),
            event_type: None,
            decision: if row.is_discard { Decision::Discard } else { Decision::Replay },
            letter: None,
        })
        .collect();
    let snapshot = place.snapshot().await;
    plan.find_again(&snapshot, &place.inbox, Some(killed.operation)).await.unwrap();
    let stop = CancellationToken::new();
    let carried = operation
        .carry_out(&place.places, &snapshot, &plan, &rows, &Pace::default(), &approval(), &stop, |_| {})
        .await
        .unwrap();
    operation.end(carried.how, None).await.unwrap();
    carried
}

async fn a_replay_that_is_killed_at_any_moment_is_resumed_and_loses_nothing(bus: TestBus) {
    for (at, sent_each) in [
        (KilledAt::BeforeSend, 1),
        // Nobody had written down that they were sent: the inbox will recognise the second.
        (KilledAt::AfterSend, 2),
        (KilledAt::BeforeDelete, 1),
        (KilledAt::AfterDelete, 1),
    ] {
        let place = Place::make(&bus).await;
        let letters = place.bury(7).await;
        let killed = kill_at(&place, Verb::Replay, at).await;
        let carried = resume(&place, &killed).await;
        assert_eq!(carried.letters.len(), 7, "{at:?}: {carried:?}");
        let sent = place.sent().await;
        let expected = letters.iter().map(|letter| (letter.id.clone(), sent_each)).collect();
        assert_eq!(sent, expected, "{at:?}");
        assert_eq!(place.snapshot().await.letters(), 0, "{at:?}");
        assert_eq!(journal::unfinished(&place.database.pool, killed.operation).await.unwrap(), [], "{at:?}");
        let history = audit::history(&place.database.pool, Some(killed.operation), 1).await.unwrap();
        assert_eq!((history[0].state.as_str(), history[0].left), ("ended", 0), "{at:?}");
        bus.bus.remove_subscriber(&user_service::declared().subscriber()).await.unwrap();
    }
}

async fn a_discard_that_is_killed_between_archive_and_delete_is_resumed(bus: TestBus) {
    let place = Place::make(&bus).await;
    place.bury(3).await;
    let killed = kill_at(&place, Verb::Discard, KilledAt::BeforeDelete).await;
    let carried = resume(&place, &killed).await;
    assert!(carried.letters.iter().all(|done| done.outcome == "discarded"), "{carried:?}");
    assert_eq!(archive::find(&place.database.pool, killed.operation, &[]).await.unwrap().len(), 3);
    assert_eq!(place.snapshot().await.letters(), 0);
    assert_eq!(place.sent().await.len(), 0);
}

async fn an_operation_that_runs_cannot_be_resumed_and_one_that_ended_neither(bus: TestBus) {
    let place = Place::make(&bus).await;
    place.bury(1).await;
    let snapshot = place.snapshot().await;
    let plan = place.plan(&snapshot, Verb::Replay).await;
    let (pool, clock, queue) = (&place.database.pool, &place.clock, &*place.places.dead_letters);
    let operation = Operation::begin(pool, clock, &plan, &snapshot, None, &approval()).await.unwrap();
    let again = Operation::resume(pool, clock, plan.operation, queue, &approval()).await;
    assert!(matches!(again, Err(OperationError::Runs(id)) if id == plan.operation), "{again:?}");
    // While it runs, others leave its letters alone.
    let letters = snapshot.read(&[0], pool).await.unwrap();
    let decisions = place.inbox.decide(Verb::Replay, false, None, &letters).await.unwrap();
    assert_eq!(decisions[0].name(), "in-progress");

    let stop = CancellationToken::new();
    let (speed, approval) = (Pace::default(), approval());
    let done = operation.carry_out(&place.places, &snapshot, &plan, &[], &speed, &approval, &stop, |_| {});
    assert_eq!(done.await.unwrap().letters[0].outcome, "replayed");
    operation.end("ended", None).await.unwrap();
    let ended = Operation::resume(pool, clock, plan.operation, queue, &approval).await;
    assert!(matches!(ended, Err(OperationError::Ended(_))), "{ended:?}");
    let unknown = Operation::resume(pool, clock, schemas::event_id(clock.now()), queue, &approval).await;
    assert!(matches!(unknown, Err(OperationError::Unknown(_))), "{unknown:?}");
    // And a plan is carried out once.
    let again = Operation::begin(pool, clock, &plan, &snapshot, None, &approval).await;
    assert!(matches!(again, Err(OperationError::Ended(_))), "{again:?}");
}

async fn two_operators_who_replay_at_once_send_every_letter_once(bus: TestBus) {
    let place = Place::make(&bus).await;
    let letters = place.bury(60).await;
    let operator = async || {
        let snapshot = place.snapshot().await;
        let plan = place.plan(&snapshot, Verb::Replay).await;
        let operation =
            Operation::begin(&place.database.pool, &place.clock, &plan, &snapshot, None, &approval()).await.unwrap();
        let stop = CancellationToken::new();
        let carried = operation
            .carry_out(&place.places, &snapshot, &plan, &[], &Pace::default(), &approval(), &stop, |_| {})
            .await
            .unwrap();
        operation.end(carried.how, None).await.unwrap();
        snapshot.hand_back().await;
        carried.letters.iter().filter(|done| done.outcome == "replayed").count()
    };
    let (one, other) = tokio::join!(operator(), operator());
    assert_eq!(one + other, 60);
    let sent = place.sent().await;
    assert_eq!(sent, letters.iter().map(|letter| (letter.id.clone(), 1)).collect());
}
