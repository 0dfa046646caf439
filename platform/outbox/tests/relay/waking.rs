use fixtures::eventually;
use outbox::{Wake, announce, announce_once, append, listen, retry_failed};
use tokio_util::sync::CancellationToken;

use crate::{
    buses::Bus,
    world::{Outbox, Running, event, id, outbox, settings, settings_without_scan},
};

/// A relay that has looked once and will not look again unless it is woken.
async fn relay_that_only_wakes(outbox: &Outbox) -> Running {
    let first = outbox.commit_event().await;
    let relay = outbox.start(&Bus::open(), settings_without_scan());
    outbox.until_published(first).await;
    relay
}

#[tokio::test]
async fn a_wake_up_reaches_the_relay_of_this_process() {
    let outbox = outbox().await;
    let relay = relay_that_only_wakes(&outbox).await;
    for _ in 0..5 {
        let id = outbox.commit_event().await;
        relay.wake.wake();
        outbox.until_published(id).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_wake_up_while_the_relay_is_busy_is_not_lost() {
    let outbox = outbox().await;
    outbox.commit_event().await;
    let bus = Bus::gated(|_| Ok(()));
    let only_one = outbox::RelaySettings { claims_in_flight: 1, ..settings_without_scan() };
    let relay = outbox.start(&bus, only_one);
    bus.entered(1).await;
    let second = outbox.commit_event().await;
    relay.wake.wake();
    bus.open_gate();
    outbox.until_published(second).await;
    relay.stop().await;
}

#[tokio::test]
async fn without_any_wake_up_the_scan_finds_what_was_committed() {
    let outbox = outbox().await;
    let relay = outbox.start(&Bus::open(), settings());
    for _ in 0..3 {
        let id = outbox.commit_event().await;
        outbox.until_published(id).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn one_wake_up_is_enough_for_a_backlog_of_many_claims() {
    let outbox = outbox().await;
    let relay = relay_that_only_wakes(&outbox).await;
    outbox.commit_events(350).await;
    relay.wake.wake();
    outbox.until_done().await;
    relay.stop().await;
}

/// The producer's process on one side, the relay's on the other.
struct Line {
    producer: Wake,
    stop: CancellationToken,
    relay: Running,
}

impl Line {
    async fn open(outbox: &Outbox) -> Self {
        let relay = relay_that_only_wakes(outbox).await;
        let (producer, stop) = (Wake::new(), CancellationToken::new());
        let database = (*outbox.pool().connect_options()).clone();
        tokio::spawn(announce(database.clone(), producer.clone(), stop.clone()));
        tokio::spawn(listen(database, relay.wake.clone(), stop.clone()));
        Self { producer, stop, relay }
    }

    async fn close(self) {
        self.stop.cancel();
        self.relay.stop().await;
    }
}

async fn until_somebody_listens(outbox: &Outbox) {
    eventually("a listener", async || {
        let listening = "SELECT count(*) FROM pg_stat_activity
                          WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'";
        let count: i64 = sqlx::query_scalar(listening).fetch_one(outbox.pool()).await.unwrap();
        (count > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wake_up_reaches_the_relay_of_another_process() {
    let outbox = outbox().await;
    let line = Line::open(&outbox).await;
    until_somebody_listens(&outbox).await;
    // Starting to listen wakes once, so only the later ones prove anything.
    for _ in 0..5 {
        let id = outbox.commit_event().await;
        line.producer.wake();
        outbox.until_published(id).await;
    }
    line.close().await;
}

#[tokio::test]
async fn a_failed_row_that_a_tool_retries_and_announces_is_published_without_a_scan() {
    let outbox = outbox().await;
    let line = Line::open(&outbox).await;
    until_somebody_listens(&outbox).await;
    // As above, only the later ones prove anything.
    for _ in 0..3 {
        let event = event();
        let mut tx = outbox.pool().begin().await.unwrap();
        append(&mut tx, &event).await.unwrap();
        let fail = "UPDATE outbox SET status = 'failed', attempts = 1, last_error = 'refused' WHERE event_id = $1";
        sqlx::query(fail).bind(id(&event)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(retry_failed(outbox.pool(), Some(&[id(&event)])).await.unwrap(), [id(&event)]);
        announce_once(outbox.pool()).await.unwrap();
        let row = outbox.until_published(id(&event)).await;
        assert_eq!((row.attempts, row.last_error), (2, None));
        assert!(retry_failed(outbox.pool(), None).await.unwrap().is_empty(), "what is published is no failed row");
    }
    line.close().await;
}

#[tokio::test]
async fn what_was_committed_while_nobody_listened_is_found_on_starting_to() {
    let outbox = outbox().await;
    let relay = relay_that_only_wakes(&outbox).await;
    let id = outbox.commit_event().await;
    let database = (*outbox.pool().connect_options()).clone();
    let listening = tokio::spawn(listen(database, relay.wake.clone(), relay.stop.clone()));
    outbox.until_published(id).await;
    relay.stop().await;
    listening.await.unwrap();
}

#[tokio::test]
async fn announcing_and_listening_survive_an_outage() {
    let outbox = outbox().await;
    let line = Line::open(&outbox).await;
    until_somebody_listens(&outbox).await;
    outbox.database.take_down().await;
    eventually("an outage", async || outbox.pool().acquire().await.is_err().then_some(())).await;
    outbox.database.bring_back().await;
    until_somebody_listens(&outbox).await;
    for _ in 0..3 {
        let id = outbox.commit_event().await;
        // A hint may be lost with its connection; the one after it isn't.
        eventually("an announced event", async || {
            line.producer.wake();
            (outbox.row(id).await.status == "published").then_some(())
        })
        .await;
    }
    line.close().await;
}
