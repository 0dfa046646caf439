use schemas::Clock;
use serde_json::json;

use crate::world::{CountNotes, note, note_with_id, notes, once, world};

#[tokio::test]
async fn every_event_is_applied_once_and_acknowledged() {
    let world = world().await;
    world.send(&notes(250)).await;
    let handler = CountNotes::default();
    let running = world.start(&handler);
    assert_eq!(world.until_applied(250).await, once(250));
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 250);
    assert!(handler.calls() < 250, "events were applied in batches, in {} calls", handler.calls());
}

#[tokio::test]
async fn a_redelivered_event_is_applied_once_and_its_copies_are_acknowledged() {
    let world = world().await;
    let original = note("n0000");
    world.send(&[original.clone(), original.clone(), original.clone()]).await;
    let running = world.start(&CountNotes::default());
    world.until_applied(1).await;
    world.until_empty().await;
    world.send(&[original.clone(), original]).await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.effects().await, once(1));
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
    assert_eq!(world.count("SELECT sum(redeliveries) FROM event_logs").await, 4);
}

#[tokio::test]
async fn two_workers_with_copies_of_the_same_events_apply_each_once() {
    let world = world().await;
    let events = notes(120);
    let running = [world.start(&CountNotes::default()), world.start(&CountNotes::default())];
    for copy in 0..3 {
        // In another order each time, so that batches overlap.
        let mut shuffled = events.clone();
        shuffled.rotate_left(copy * 41);
        world.send(&shuffled).await;
    }
    world.until_applied(120).await;
    world.until_empty().await;
    for running in running {
        running.stop().await;
    }
    assert_eq!(world.effects().await, once(120));
    assert_eq!(world.count("SELECT sum(redeliveries) FROM event_logs").await, 240);
}

#[tokio::test]
async fn an_event_in_an_sns_envelope_is_the_same_event() {
    let world = world().await;
    let raw = note("n0000");
    let wrapped = json!({ "Type": "Notification", "MessageId": "m", "TopicArn": "arn:t", "Message": raw.body });
    let wrapped = messaging::OutgoingMessage { body: wrapped.to_string(), ..Default::default() };
    world.send(&[wrapped, raw]).await;
    let running = world.start(&CountNotes::default());
    world.until_applied(1).await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.effects().await, once(1));
}

#[tokio::test]
async fn an_event_of_another_producer_is_deduplicated_by_its_own_id() {
    let world = world().await;
    let foreign = |id: &str, text: &str| {
        let event = json!({ "specversion": "1.0", "id": id, "source": "till-7", "type": "note.taken",
            "time": time::OffsetDateTime::format(Clock::system().now().replace_hour(0).unwrap(),
                &time::format_description::well_known::Rfc3339).unwrap(),
            "schemaversion": 1, "data": { "note": text } });
        messaging::OutgoingMessage { body: event.to_string(), ..Default::default() }
    };
    let (first, second) = (foreign("sale/1", "n0000"), foreign("sale/2", "n0001"));
    world.send(&[first.clone(), second, first]).await;
    let running = world.start(&CountNotes::default());
    world.until_applied(2).await;
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.effects().await, once(2));
}

#[tokio::test]
async fn a_worker_that_dies_before_acknowledging_loses_nothing_and_repeats_nothing() {
    let world = world().await;
    world.send(&notes(100)).await;
    let first = world.start(&CountNotes::default());
    world.until_applied(10).await;
    // Committed work whose acknowledgement may or may not have been sent.
    first.kill().await;
    let second = world.start(&CountNotes::default());
    world.until_applied(100).await;
    world.until_empty().await;
    second.stop().await;
    assert_eq!(world.effects().await, once(100));
}

#[tokio::test]
async fn an_event_that_is_being_applied_elsewhere_is_waited_for_and_not_applied_again() {
    let world = world().await;
    let (id, now) = (schemas::event_id(Clock::system().now()), Clock::system().now());
    let gate = std::sync::Arc::new(crate::world::Gate::default());
    let slow = CountNotes { gate: Some(gate.clone()), ..CountNotes::default() };
    world.send(&[note_with_id("n0000", id, now)]).await;
    let first = world.start(&slow);
    gate.entered.notified().await;
    // The first worker holds the claim in an open transaction now. The copy says another subject, so that it waits for
    // that claim also where the first worker gets it: of one subject, that would keep it back by itself.
    world.send(&[note_with_id("n0001", id, now)]).await;
    let quick = CountNotes::default();
    let second = world.start(&quick);
    fixtures::eventually("the second worker waits for the claim", async || {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (world.count(waiting).await > 0).then_some(())
    })
    .await;
    gate.open.notify_one();
    world.until_empty().await;
    first.stop().await;
    second.stop().await;
    assert_eq!(world.effects().await, once(1));
    assert_eq!(quick.calls(), 0);
}
