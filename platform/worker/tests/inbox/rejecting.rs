use messaging::OutgoingMessage;
use schemas::Clock;
use serde_json::{Value, json};
use time::Duration;

use crate::world::{CountNotes, note, note_at, notes, once, settings, world};

fn body(text: impl Into<String>) -> OutgoingMessage {
    OutgoingMessage { body: text.into(), ..OutgoingMessage::default() }
}

#[tokio::test]
async fn an_undecodable_message_is_dead_lettered_whole_with_its_reason_and_holds_up_nobody() {
    let world = world().await;
    let broken = body("{\"specversion\":\"1.0\", \"email\":\"ada@example.com\" ☃");
    let mut all = notes(30);
    all.insert(7, broken.clone());
    world.send(&all).await;
    let running = world.start(&CountNotes::default());
    assert_eq!(world.until_applied(30).await, once(30));
    let dead = world.until_dead(1).await;
    world.until_empty().await;
    running.stop().await;

    let (message, report) = &dead[0];
    let report = report.as_ref().unwrap();
    assert_eq!(message.body, broken.body);
    assert_eq!((report.reason.as_str(), report.class.as_str()), ("undecodable", "reject"));
    assert_eq!(report.causes, ["not valid JSON (line 1, column 49)"]);
    let shown = format!("{report:?}");
    assert!(!shown.contains("ada@"), "{shown}");
    assert_eq!(
        world.count("SELECT count(*) FROM event_failures WHERE reason = 'undecodable' AND event_key IS NULL").await,
        1
    );
}

#[tokio::test]
async fn what_no_handler_can_read_is_rejected_by_name() {
    let world = world().await;
    let good = note("n0000");
    let changed = |field: &str, value: Value| {
        let mut event: Value = serde_json::from_str(&note(field).body).unwrap();
        event[field] = value;
        body(event.to_string())
    };
    let now = Clock::system().now();
    world
        .send(&[
            good,
            changed("type", json!("note.burnt")),
            changed("schemaversion", json!(7)),
            note_at("old", now - Duration::days(40)),
            note_at("future", now + Duration::hours(25)),
            changed("id", json!("order-\0")),
        ])
        .await;
    let running = world.start(&CountNotes::default());
    let dead = world.until_dead(5).await;
    world.until_empty().await;
    running.stop().await;
    let mut reasons: Vec<_> = dead.into_iter().map(|(_, report)| report.unwrap().reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["beyond-dedup-window", "clock-skew", "undecodable", "unknown-event", "unknown-version"]);
    assert_eq!(world.effects().await, once(1));
}

#[tokio::test]
async fn an_event_whose_reader_panics_is_rejected_and_holds_up_nobody() {
    let world = world().await;
    let mut unreadable: Value = serde_json::from_str(&note("alice@example.com").body).unwrap();
    unreadable["data"] = json!({"note": ["alice@example.com"]});
    let mut all = notes(30);
    all.insert(7, body(unreadable.to_string()));
    world.send(&all).await;
    let running = world.start(&CountNotes::default());
    assert_eq!(world.until_applied(30).await, once(30));
    let dead = world.until_dead(1).await;
    world.until_empty().await;
    running.stop().await;
    let report = dead[0].1.as_ref().unwrap();
    assert_eq!((report.reason.as_str(), report.attempts), ("reader-panicked", 1));
    assert_eq!((report.message.as_str(), report.causes.len()), ("count_notes panicked while reading", 0));
    assert_eq!(report.event_id.as_deref(), unreadable["id"].as_str());
}

#[tokio::test]
async fn events_at_the_edges_of_the_window_are_applied() {
    let world = world().await;
    let now = Clock::system().now();
    world.send(&[note_at("n0000", now - Duration::days(27)), note_at("n0001", now + Duration::hours(23))]).await;
    let running = world.start(&CountNotes::default());
    assert_eq!(world.until_applied(2).await, once(2));
    running.stop().await;
}

#[tokio::test]
async fn an_event_whose_week_was_dropped_by_another_worker_is_rejected_and_never_applied_again() {
    let world = world().await;
    let now = Clock::system().now();
    let old = note_at("n0000", now - Duration::days(27));
    world.send(std::slice::from_ref(&old)).await;
    let running = world.start(&CountNotes::default());
    world.until_applied(1).await;
    world.until_empty().await;
    // Another worker's maintenance, two weeks on: this worker's idea of the window is out of date.
    worker::maintain_inbox(&world.database.pool, now + Duration::days(14)).await.unwrap();
    world.send(&[old, note("n0001")]).await;
    let dead = world.until_dead(1).await;
    world.until_applied(2).await;
    running.stop().await;
    assert_eq!(dead[0].1.as_ref().unwrap().reason, "beyond-dedup-window");
    assert_eq!(world.effects().await, once(2));
}

#[tokio::test]
async fn a_new_weeks_partition_is_there_before_it_is_needed() {
    let world = world().await;
    let later = Clock::system().now() + Duration::days(25);
    // The worker last maintained its weeks today, and has been running for 25 days.
    let running = world.start(&CountNotes::default());
    world.send(&[note("n0000")]).await;
    world.until_applied(1).await;
    running.stop().await;
    let weeks = world.count("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event_logs'::regclass").await;
    sqlx::query(
        "INSERT INTO event_logs (event_key, event_id, event_type, schema_version, source, handler, event_time)
         VALUES ($1, 'e', 'note.taken', 1, 'tests', 'h', now())",
    )
    .bind(schemas::event_id(later))
    .execute(&world.database.pool)
    .await
    .unwrap();
    // And when it starts anew then, the weeks after that are made.
    let running = world.start_with(&CountNotes::default(), settings(), Clock::reading(move || later));
    fixtures::eventually("more weeks", async || {
        let newest = "SELECT count(*) FROM pg_class WHERE relname LIKE 'event_logs_2%' AND relkind = 'r'";
        (world.count(newest).await >= weeks).then_some(())
    })
    .await;
    world.send(&[note_at("n0001", later)]).await;
    assert_eq!(world.until_applied(2).await, once(2));
    running.stop().await;
}
