use outbox::RelaySettings;

use crate::{
    buses::Bus,
    world::{outbox, settings, settings_without_scan},
};

#[tokio::test]
async fn stopping_finishes_the_claims_in_hand_and_takes_no_more() {
    let outbox = outbox().await;
    outbox.commit_events(15).await;
    let bus = Bus::gated(|_| Ok(()));
    let relay = outbox.start(&bus, RelaySettings { batch: 5, claims_in_flight: 3, ..settings() });
    bus.entered(3).await;

    relay.stop.cancel();
    // Long enough for a relay that doesn't wait to be gone; one that doesn't stop claims this as soon as it can.
    outbox.commit_events(5).await;
    assert!(!relay.has_ended());

    bus.open_gate();
    relay.ended().await;
    assert_eq!(outbox.count("status = 'published' AND attempts = 1").await, 15);
    assert_eq!(outbox.count("status = 'pending' AND attempts = 0").await, 5);
    assert_eq!(bus.times().len(), 15);
}

#[tokio::test]
async fn a_relay_that_waits_for_work_stops_at_once() {
    let outbox = outbox().await;
    let bus = Bus::open();
    let relay = outbox.start(&bus, settings_without_scan());
    let id = outbox.commit_event().await;
    relay.wake.wake();
    outbox.until_published(id).await;
    relay.stop().await;
}
