use std::time::Duration;

use fixtures::eventually;
use outbox::{Relay, RelaySettings, Relayed, Wake};
use sqlx::PgPool;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{
    buses::Bus,
    world::{clock, outbox, settings},
};

#[tokio::test]
async fn a_relay_that_dies_between_publishing_and_settling_loses_nothing() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(5).await;
    let settings = RelaySettings { lease: Duration::from_secs(4), ..settings() };

    // A runtime of its own is as near as a test comes to a process: with it, everything that the relay does ends.
    let process = Runtime::new().unwrap();
    let dies = Bus::gated(|_| Ok(()));
    process.spawn({
        let (url, bus) = (outbox.database.url.clone(), dies.clone());
        async move {
            let pool = PgPool::connect(&url).await.unwrap();
            Relay::new(pool, bus, settings, clock()).run(Wake::new(), CancellationToken::new()).await;
        }
    });
    dies.entered(1).await;
    process.shutdown_background();
    assert_eq!(outbox.count("status = 'pending' AND lease_token IS NOT NULL").await, 5);

    let survives = Bus::open();
    let relay = outbox.start(&survives, settings);
    outbox.until_done().await;
    relay.stop().await;
    for id in ids {
        assert_eq!((dies.times()[&id], survives.times()[&id]), (1, 1), "published by both");
        let row = outbox.row(id).await;
        assert_eq!((row.status.as_str(), row.attempts), ("published", 2));
    }
}

#[tokio::test]
async fn what_could_not_be_settled_is_published_again() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(20).await;
    let bus = Bus::gated(|_| Ok(()));
    let relay = outbox.relay(&bus, settings());
    let relaying = tokio::spawn({
        let relay = relay.clone();
        async move { relay.relay_once().await }
    });
    bus.entered(1).await;
    outbox.database.take_down().await;
    bus.open_gate();
    // It tries for a few seconds, then leaves the rows to their lease.
    assert_eq!(relaying.await.unwrap().unwrap(), Relayed { claimed: 20, published: 20, ..Relayed::default() });
    outbox.database.bring_back().await;
    assert_eq!(outbox.count("status = 'pending' AND lease_token IS NOT NULL").await, 20);

    outbox.make_everything_due().await;
    assert_eq!(relay.relay_once().await.unwrap().published, 20);
    assert_eq!(bus.times(), ids.iter().map(|id| (*id, 2)).collect());
    assert_eq!(outbox.count("status = 'published'").await, 20);
}

#[tokio::test]
async fn a_relay_survives_an_outage_of_its_database() {
    let outbox = outbox().await;
    let bus = Bus::open();
    let relay = outbox.start(&bus, settings());
    let before = outbox.commit_event().await;
    outbox.until_published(before).await;

    outbox.database.take_down().await;
    eventually("an outage", async || outbox.pool().acquire().await.is_err().then_some(())).await;
    outbox.database.bring_back().await;

    let after = outbox.commit_event().await;
    outbox.until_published(after).await;
    assert!(!relay.has_ended());
    relay.stop().await;
    assert_eq!(bus.times().len(), 2);
}

#[tokio::test]
async fn what_is_committed_or_in_hand_when_the_database_goes_is_published_when_it_is_back() {
    let outbox = outbox().await;
    let mut ids = outbox.commit_events(10).await;
    let bus = Bus::gated(|_| Ok(()));
    // Short enough to run out where settling had no success at all.
    let relay = outbox.start(&bus, RelaySettings { batch: 5, lease: Duration::from_secs(3), ..settings() });
    bus.entered(2).await;
    ids.extend(outbox.commit_events(10).await);
    outbox.database.take_down().await;
    bus.open_gate();
    eventually("an outage", async || outbox.pool().acquire().await.is_err().then_some(())).await;
    outbox.database.bring_back().await;

    outbox.until_done().await;
    relay.stop().await;
    assert_eq!(outbox.count("status = 'published'").await, 20);
    let delivered: Vec<_> = bus.times().into_keys().collect();
    ids.sort();
    assert_eq!(delivered, ids);
}
