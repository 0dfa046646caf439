use std::{sync::Arc, time::Duration};

use fixtures::eventually;
use messaging::{EntryError, MockPublisher, RetryDelay};
use outbox::{RelaySettings, Relayed};
use schemas::Envelope;

use crate::{
    buses::{Bus, HangsFor, Switch},
    world::{event, id, outbox, settings},
};

const DAYS: Duration = Duration::from_secs(1_000 * 24 * 60 * 60);

#[tokio::test]
async fn an_event_that_the_bus_refuses_is_failed_with_its_error_and_holds_up_nobody() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(25).await;
    let poison = ids[7];
    let bus = Bus::answering(move |id| match id {
        id if id == poison => Err(EntryError::refused("InvalidParameter", "not this one")),
        _ => Ok(()),
    });
    let relay = outbox.start(&bus, settings());
    outbox.until_done().await;
    let later = outbox.commit_event().await;
    outbox.until_published(later).await;
    relay.stop().await;

    let row = outbox.row(poison).await;
    assert_eq!((row.status.as_str(), row.attempts, row.lease_token), ("failed", 1, None));
    assert_eq!(row.last_error.as_deref(), Some("refused: InvalidParameter: not this one"));
    assert!(row.envelope.is_some(), "to be looked at and published again by hand");
    assert_eq!(outbox.count("status = 'published'").await, 25);
    assert_eq!(bus.times().len(), 25);

    outbox.make_everything_due().await;
    assert_eq!(outbox.relay(&bus, settings()).relay_once().await.unwrap().claimed, 0, "nothing is tried again");
}

/// PostgreSQL stores no U+0000: an error that holds one must not keep its neighbours from being settled.
#[tokio::test]
async fn an_error_of_any_content_and_length_is_stored_and_settles_its_neighbours() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(3).await;
    let (refused, throttled) = (ids[0], ids[1]);
    let message = format!("a\0b{}", "ä".repeat(10_000));
    let bus = Bus::answering(move |id| match id {
        id if id == refused => Err(EntryError::refused("Code", message.clone())),
        id if id == throttled => Err(EntryError::unavailable("Code", message.clone())),
        _ => Ok(()),
    });
    outbox.relay(&bus, settings()).relay_once().await.unwrap();
    let rows = [outbox.row(ids[0]).await, outbox.row(ids[1]).await, outbox.row(ids[2]).await];
    assert_eq!(rows.each_ref().map(|row| row.status.as_str()), ["failed", "pending", "published"]);
    let error = rows[0].last_error.as_deref().unwrap();
    assert!(error.starts_with("refused: Code: a\u{fffd}bää"), "{error}");
    assert_eq!(error.chars().count(), 500);
}

#[tokio::test]
async fn a_bus_that_is_down_backs_off_loses_nothing_and_gets_everything_when_it_is_back() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(30).await;
    let up = Switch::default();
    let bus = Bus::answering({
        let up = up.clone();
        move |_| if up.is_on() { Ok(()) } else { Err(EntryError::unavailable("Down", "no route")) }
    });
    let relay = outbox.start(&bus, settings());
    eventually("three attempts at each", async || (outbox.count("attempts >= 3").await == 30).then_some(())).await;
    assert_eq!(bus.times().len(), 0);
    assert_eq!(outbox.count("status = 'pending' AND last_error = 'not available: Down: no route'").await, 30);

    up.turn_on();
    outbox.until_done().await;
    relay.stop().await;
    assert_eq!(bus.times(), ids.iter().map(|id| (*id, 1)).collect());
    assert_eq!(outbox.count("status = 'published' AND last_error IS NULL").await, 30);
}

#[tokio::test]
async fn an_event_that_backs_off_is_not_tried_before_its_time() {
    let outbox = outbox().await;
    let id = outbox.commit_event().await;
    let bus = Bus::answering(|_| Err(EntryError::unavailable("Down", "no route")));
    // Evenly between now and years from now: a second's delay is one chance in eighty million.
    let relay = outbox.relay(&bus, RelaySettings { retry: RetryDelay::new(DAYS, DAYS), ..settings() });
    assert_eq!(relay.relay_once().await.unwrap(), Relayed { claimed: 1, backed_off: 1, ..Relayed::default() });
    let row = outbox.row(id).await;
    assert_eq!((row.status.as_str(), row.attempts, row.lease_token), ("pending", 1, None));
    assert_eq!(relay.relay_once().await.unwrap().claimed, 0);
    outbox.make_everything_due().await;
    assert_eq!(relay.relay_once().await.unwrap().claimed, 1);
    assert_eq!(outbox.row(id).await.attempts, 2);
}

#[tokio::test]
async fn a_bus_that_does_not_answer_is_a_failure_and_holds_up_no_other_topic() {
    let outbox = outbox().await;
    let stuck = event();
    let fine = Envelope { event_type: "user.left".to_owned(), ..event() };
    outbox.commit(&[stuck.clone(), fine.clone()]).await;
    let bus = Arc::new(HangsFor("user.created", MockPublisher::default()));
    let relay = outbox.relay(&bus, RelaySettings { lease: Duration::from_millis(400), ..settings() });
    let relayed = tokio::time::timeout(fixtures::DEADLINE, relay.relay_once()).await.expect("an end").unwrap();
    assert_eq!(relayed, Relayed { claimed: 2, published: 1, backed_off: 1, ..Relayed::default() });

    let row = outbox.row(id(&stuck)).await;
    assert_eq!((row.status.as_str(), row.lease_token), ("pending", None));
    assert_eq!(row.last_error.as_deref(), Some("not available: Timeout: publishing took half the lease"));
    assert_eq!(outbox.row(id(&fine)).await.status, "published");
}

#[tokio::test]
async fn an_event_that_keeps_failing_does_not_hold_up_those_behind_it() {
    let outbox = outbox().await;
    let stuck = outbox.commit_events(10).await;
    let bus = Bus::answering({
        let stuck = stuck.clone();
        move |id| if stuck.contains(&id) { Err(EntryError::unavailable("Odd", "again")) } else { Ok(()) }
    });
    // Room for fewer than what is stuck.
    let relay = outbox.start(&bus, RelaySettings { batch: 5, claims_in_flight: 1, ..settings() });
    eventually("attempts", async || (outbox.count("attempts >= 2").await == 10).then_some(())).await;
    let behind = outbox.commit_events(50).await;
    eventually("those behind", async || (outbox.count("status = 'published'").await == 50).then_some(())).await;
    relay.stop().await;
    assert_eq!(bus.times().into_keys().collect::<Vec<_>>(), behind);
}
