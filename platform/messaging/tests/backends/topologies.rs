//! What has to exist on a bus, made and compared.

use fixtures::{TestBus, on_both_buses};
use messaging::{QueueSettings, Subscriber, Topology};
use schemas::EventType;

const HAPPENED: EventType = EventType::new("test.happened");

fn topology(max_receive_count: u32) -> Topology {
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    let subscriber = Subscriber { consumer: "reader".to_owned(), events: [HAPPENED].into(), settings };
    Topology { subscribers: vec![subscriber], published: [EventType::new("test.announced")].into() }
}

on_both_buses!(
    applying_a_topology_twice_changes_nothing_and_drift_is_named,
    several_who_apply_the_same_topology_at_once_make_it_once,
    a_topology_that_is_removed_leaves_nothing_and_can_be_made_again,
    a_queue_that_is_not_there_is_named,
    publishing_to_a_topic_that_is_not_there_can_be_tried_again,
);

async fn applying_a_topology_twice_changes_nothing_and_drift_is_named(test: TestBus) {
    let missing = test.bus.verify(&topology(20)).await.unwrap();
    let resources: Vec<_> = missing.iter().map(|d| d.resource.replace(&test.prefix, "")).collect();
    let mut expected = vec![
        "topic test-announced",
        "topic test-happened",
        "queue reader-dlq",
        "queue reader-undelivered",
        "queue reader",
        "subscription test-happened → reader",
    ];
    if test.is_embedded() {
        expected.retain(|resource| *resource != "queue reader-undelivered");
    }
    assert_eq!(resources, expected);
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), missing);
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), []);

    let drift = test.bus.verify(&topology(7)).await.unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!(drift[0].setting, "RedrivePolicy");
    test.bus.apply(&topology(7)).await.unwrap();
    assert_eq!(test.bus.verify(&topology(7)).await.unwrap(), []);
}

async fn publishing_to_a_topic_that_is_not_there_can_be_tried_again(test: TestBus) {
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    let results = test.bus.publisher().publish("test.happened", &[message]).await;
    let Err(messaging::EntryError::Unavailable { code, message }) = &results[0] else { panic!("{results:?}") };
    assert_eq!(code, "NoTopic");
    assert!(message.contains("waypost topology apply"), "{message}");
}

async fn several_who_apply_the_same_topology_at_once_make_it_once(test: TestBus) {
    let topology = topology(20);
    let (one, two, three) =
        tokio::join!(test.bus.apply(&topology), test.bus.apply(&topology), test.bus.apply(&topology));
    for applied in [one, two, three] {
        applied.unwrap();
    }
    assert_eq!(test.bus.verify(&topology).await.unwrap(), []);
}

async fn a_topology_that_is_removed_leaves_nothing_and_can_be_made_again(test: TestBus) {
    let missing = test.bus.verify(&topology(20)).await.unwrap();
    test.bus.apply(&topology(20)).await.unwrap();
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    test.queue("reader").await.send(&[message]).await[0].as_ref().unwrap();
    test.bus.remove(&topology(20)).await.unwrap();
    assert_eq!(test.bus.verify(&topology(20)).await.unwrap(), missing);
    test.bus.remove(&topology(20)).await.unwrap();
}

async fn a_queue_that_is_not_there_is_named(test: TestBus) {
    let error = test.bus.queue("nobodys").await.unwrap_err();
    assert!(error.to_string().contains("nobodys"), "{error}");
}
