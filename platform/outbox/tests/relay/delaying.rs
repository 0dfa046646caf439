use outbox::{AppendError, LONGEST_DELAY, OUTBOX, append, append_due};
use schemas::Envelope;
use time::{Duration, OffsetDateTime};

use crate::{
    buses::Bus,
    world::{NOW, Outbox, event, event_at, id, outbox, outbox_without_weeks, settings},
};

/// An outbox with weeks around now by its own clock, which is what events are due by.
async fn outbox_of_now() -> (Outbox, OffsetDateTime) {
    let outbox = outbox_without_weeks().await;
    let now = sqlx::query_scalar("SELECT now()").fetch_one(outbox.pool()).await.unwrap();
    partitions::maintain(outbox.pool(), OUTBOX, now).await.unwrap();
    (outbox, now)
}

async fn commit_due(outbox: &Outbox, envelope: &Envelope, due: OffsetDateTime) {
    let mut tx = outbox.pool().begin().await.unwrap();
    append_due(&mut tx, envelope, due).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_event_is_published_when_it_is_due_and_not_before() {
    let (outbox, now) = outbox_of_now().await;
    let [soon, later, undelayed] = [(); 3].map(|()| event_at(now));
    let due = now + Duration::seconds(2);
    commit_due(&outbox, &soon, due).await;
    commit_due(&outbox, &later, now + Duration::hours(1)).await;
    outbox.commit(std::slice::from_ref(&undelayed)).await;

    let bus = Bus::open();
    let relay = outbox.start(&bus, settings());
    let undelayed = outbox.until_published(id(&undelayed)).await;
    let soon = outbox.until_published(id(&soon)).await;
    relay.stop().await;

    assert!(undelayed.published_at < soon.published_at, "it waits for nobody's delay");
    assert!(soon.published_at.unwrap() >= due, "{soon:?} was due at {due}");
    let later = outbox.row(id(&later)).await;
    assert_eq!((later.status.as_str(), later.attempts, later.lease_token), ("pending", 0, None));
    assert_eq!(bus.delivered().len(), 2);
}

#[tokio::test]
async fn a_time_that_has_passed_is_now_and_overtakes_nobody() {
    let (outbox, now) = outbox_of_now().await;
    let [waiting, overdue] = [(); 2].map(|()| event_at(now));
    outbox.commit(std::slice::from_ref(&waiting)).await;
    commit_due(&outbox, &overdue, now - Duration::days(1)).await;
    assert!(outbox.row(id(&waiting)).await.due_at <= outbox.row(id(&overdue)).await.due_at);
    assert_eq!(outbox.relay(&Bus::open(), settings()).relay_once().await.unwrap().published, 2);
}

#[tokio::test]
async fn an_event_that_is_due_too_far_ahead_is_refused_while_its_writer_can_roll_back() {
    let outbox = outbox().await;
    let latest = NOW + LONGEST_DELAY;
    let mut tx = outbox.pool().begin().await.unwrap();
    let due = latest + Duration::milliseconds(1);
    let error = append_due(&mut tx, &event(), due).await.unwrap_err();
    assert!(matches!(error, AppendError::TooFarAhead { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("more than 7 days ahead of 2026-11-25 12:00:00"), "{text}");

    append(&mut tx, &event()).await.unwrap();
    append_due(&mut tx, &event(), latest).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(outbox.count("true").await, 2, "the other events alone have rows");
}
