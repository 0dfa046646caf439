use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use messaging::{EntryError, MessageId, OutgoingMessage, Publisher};
use outbox::{RelaySettings, Relayed, append};
use tokio::sync::{Barrier, OnceCell};

use crate::{
    buses::Bus,
    world::{event, id, outbox, settings},
};

#[tokio::test]
async fn a_committed_event_is_published_whole_and_its_row_settled() {
    let outbox = outbox().await;
    let event = event();
    outbox.commit(std::slice::from_ref(&event)).await;
    let bus = Bus::open();
    let relayed = outbox.relay(&bus, settings()).relay_once().await.unwrap();
    assert_eq!(relayed, Relayed { claimed: 1, published: 1, ..Relayed::default() });

    let attributes = [("type", "user.created"), ("schemaversion", "1"), ("source", "auth-service")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let message = OutgoingMessage { body: serde_json::to_string(&event).unwrap(), attributes: attributes.into() };
    assert_eq!(bus.delivered(), [("user.created".to_owned(), message)]);

    let row = outbox.row(id(&event)).await;
    assert_eq!((row.status.as_str(), row.attempts), ("published", 1));
    assert!(row.published_at.is_some());
    assert_eq!((row.lease_token, row.last_error), (None, None));

    outbox.make_everything_due().await;
    assert_eq!(outbox.relay(&bus, settings()).relay_once().await.unwrap(), Relayed::default());
}

#[tokio::test]
async fn a_rolled_back_event_is_never_published() {
    let outbox = outbox().await;
    let mut tx = outbox.pool().begin().await.unwrap();
    append(&mut tx, &event()).await.unwrap();
    tx.rollback().await.unwrap();
    let committed = outbox.commit_event().await;

    let bus = Bus::open();
    let relay = outbox.start(&bus, settings());
    outbox.until_published(committed).await;
    relay.stop().await;
    assert_eq!(bus.times(), BTreeMap::from([(committed, 1)]));
    assert_eq!(outbox.count("true").await, 1);
}

#[tokio::test]
async fn an_event_is_not_published_before_its_transaction_commits() {
    let outbox = outbox().await;
    let bus = Bus::open();
    let relay = outbox.relay(&bus, settings());
    let mut tx = outbox.pool().begin().await.unwrap();
    append(&mut tx, &event()).await.unwrap();
    assert_eq!(relay.relay_once().await.unwrap().claimed, 0);
    tx.commit().await.unwrap();
    assert_eq!(relay.relay_once().await.unwrap().published, 1);
}

#[tokio::test]
async fn each_event_goes_to_the_topic_of_its_type() {
    let outbox = outbox().await;
    let mut events: Vec<_> = (0..20).map(|_| event()).collect();
    for (n, event) in events.iter_mut().enumerate() {
        event.event_type = format!("kind.{}", ["a", "b", "c"][n % 3]);
    }
    outbox.commit(&events).await;
    let bus = Bus::open();
    assert_eq!(outbox.relay(&bus, settings()).relay_once().await.unwrap().published, 20);
    assert_eq!(bus.times().len(), 20);
    for (topic, message) in bus.delivered() {
        assert_eq!(message.attributes["type"], topic);
        assert!(message.body.contains(&format!(r#""type":"{topic}""#)), "{topic}");
    }
}

/// Answers its first request only when the other relay has one too.
#[derive(Debug)]
struct WaitsForTheOther {
    bus: Arc<Bus>,
    both: Arc<Barrier>,
    met: OnceCell<()>,
}

#[async_trait]
impl Publisher for WaitsForTheOther {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let meeting = self.met.get_or_init(async || {
            self.both.wait().await;
        });
        meeting.await;
        self.bus.publish(event_type, messages).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_relays_at_once_publish_each_event_once() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(400).await;
    let (bus, both) = (Bus::open(), Arc::new(Barrier::new(2)));
    let relays = [(); 2].map(|()| {
        let waits = WaitsForTheOther { bus: bus.clone(), both: both.clone(), met: OnceCell::new() };
        outbox.start(&Arc::new(waits), RelaySettings { batch: 10, ..settings() })
    });
    outbox.until_done().await;
    for relay in relays {
        relay.stop().await;
    }
    assert_eq!(bus.times(), ids.iter().map(|id| (*id, 1)).collect());
    assert_eq!(outbox.count("status = 'published' AND attempts = 1 AND lease_token IS NULL").await, 400);
}
