use std::sync::Arc;

use fixtures::eventually;
use outbox::{OUTBOX, append, keep_in_order};
use partitions::Week;
use time::Duration;
use tokio_util::sync::CancellationToken;

use crate::{
    buses::Bus,
    world::{NOW, Outbox, clock, event, event_at, id, outbox, outbox_without_weeks, settings},
};

/// Whose outbox it is.
pub const SERVICE: &str = "orders";

/// Maintains until `probe` is content, and to the end of that round.
pub async fn maintained(outbox: &Outbox, what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let stop = CancellationToken::new();
    let maintaining = tokio::spawn(keep_in_order(outbox.pool().clone(), SERVICE, clock(), stop.clone()));
    eventually(what, async || probe().await.then_some(())).await;
    stop.cancel();
    maintaining.await.unwrap();
}

async fn publish_all(outbox: &Outbox) {
    while outbox.relay(&Bus::open(), settings()).relay_once().await.unwrap().claimed > 0 {}
}

#[tokio::test]
async fn a_relay_makes_the_weeks_of_an_outbox_that_has_none() {
    let outbox = outbox_without_weeks().await;
    let bus = Bus::open();
    let relay = outbox.start(&bus, settings());
    let event = event();
    until_appended(&outbox, &event).await;
    outbox.until_published(id(&event)).await;
    relay.stop().await;
    assert_eq!(bus.times().len(), 1);
}

#[tokio::test]
async fn weeks_are_made_soon_although_the_database_was_away_when_the_relay_started() {
    let outbox = outbox_without_weeks().await;
    outbox.database.take_down().await;
    let relay = outbox.start(&Bus::open(), settings());
    eventually("an outage", async || outbox.pool().acquire().await.is_err().then_some(())).await;
    outbox.database.bring_back().await;
    until_appended(&outbox, &event()).await;
    relay.stop().await;
}

async fn until_appended(outbox: &Outbox, event: &schemas::Envelope) {
    eventually("a week to append to", async || {
        let mut tx = outbox.pool().begin().await.unwrap();
        append(&mut tx, event).await.ok()?;
        tx.commit().await.unwrap();
        Some(())
    })
    .await;
}

#[tokio::test]
async fn envelopes_are_forgotten_a_day_after_publication_and_never_before_it() {
    let outbox = outbox().await;
    let published = outbox.commit_events(2).await;
    publish_all(&outbox).await;
    let [old, young] = published[..] else { unreachable!() };
    let (pending, failed) = (outbox.commit_event().await, outbox.commit_event().await);
    for (sql, id) in [
        ("UPDATE outbox SET published_at = now() - interval '24 hours 1 minute' WHERE event_id = $1", old),
        ("UPDATE outbox SET published_at = now() - interval '23 hours 50 minutes' WHERE event_id = $1", young),
        ("UPDATE outbox SET status = 'failed' WHERE event_id = $1", failed),
    ] {
        sqlx::query(sql).bind(id).execute(outbox.pool()).await.unwrap();
    }
    outbox
        .execute("UPDATE outbox SET created_at = now() - interval '3 days', due_at = now() - interval '2 days'")
        .await;

    maintained(&outbox, "a forgotten envelope", async || outbox.row(old).await.envelope.is_none()).await;
    for kept in [young, pending, failed] {
        assert!(outbox.row(kept).await.envelope.is_some());
    }
    assert_eq!(outbox.row(old).await.status, "published");
    publish_all(&outbox).await;
    assert_eq!(outbox.row(pending).await.status, "published");
}

#[tokio::test]
async fn forgetting_goes_on_until_nothing_is_left_to_forget() {
    let outbox = outbox().await;
    outbox.commit_events(2_100).await;
    outbox.execute("UPDATE outbox SET status = 'published', published_at = now() - interval '2 days'").await;
    maintained(&outbox, "all envelopes forgotten", async || outbox.count("envelope IS NOT NULL").await == 0).await;
}

#[tokio::test]
async fn weeks_that_cannot_be_maintained_do_not_keep_envelopes_from_being_forgotten() {
    let outbox = outbox().await;
    outbox.commit_event().await;
    outbox.execute("UPDATE outbox SET status = 'published', published_at = now() - interval '2 days'").await;
    outbox.execute("CREATE TABLE outbox_rest PARTITION OF outbox DEFAULT").await;
    maintained(&outbox, "a forgotten envelope", async || outbox.count("envelope IS NOT NULL").await == 0).await;
}

#[tokio::test]
async fn an_old_week_goes_once_everything_in_it_is_published_and_not_before() {
    let outbox = outbox_without_weeks().await;
    let (five_weeks_ago, month_ago) = (NOW - Duration::weeks(5), NOW - Duration::weeks(4));
    partitions::maintain(outbox.pool(), OUTBOX, month_ago).await.unwrap();
    outbox.commit(&[event_at(five_weeks_ago), event_at(month_ago)]).await;
    publish_all(&outbox).await;
    let waiting = event_at(month_ago);
    outbox.commit(std::slice::from_ref(&waiting)).await;

    let gone = async |week: Week| {
        let name = format!("outbox_{week}");
        let gone = sqlx::query_scalar("SELECT to_regclass($1) IS NULL").bind(name);
        gone.fetch_one(outbox.pool()).await.unwrap()
    };
    maintained(&outbox, "a dropped week", async || gone(Week::of(five_weeks_ago)).await).await;
    assert!(!gone(Week::of(month_ago)).await);
    assert_eq!(outbox.count("true").await, 2);

    publish_all(&outbox).await;
    assert_eq!(outbox.row(id(&waiting)).await.status, "published");
    maintained(&outbox, "a dropped week", async || gone(Week::of(month_ago)).await).await;
    assert_eq!(outbox.count("true").await, 0);
}

#[tokio::test]
async fn several_that_maintain_at_once_are_as_good_as_one() {
    let outbox = Arc::new(outbox_without_weeks().await);
    let relays = [(); 4].map(|()| outbox.start(&Bus::open(), settings()));
    let event = event();
    until_appended(&outbox, &event).await;
    outbox.until_published(id(&event)).await;
    for relay in relays {
        relay.stop().await;
    }
    let weeks: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox'::regclass")
        .fetch_one(outbox.pool())
        .await
        .unwrap();
    assert_eq!(weeks, 7);
}
