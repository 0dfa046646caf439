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
    a_consumer_that_is_removed_leaves_topics_and_the_other_consumers_alone,
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

async fn a_consumer_that_is_removed_leaves_topics_and_the_other_consumers_alone(test: TestBus) {
    let staying = topology(20);
    // Its name begins as the other's does.
    let leaving = Subscriber { consumer: "reader-2".to_owned(), ..staying.subscribers[0].clone() };
    let both =
        Topology { subscribers: [staying.subscribers.clone(), vec![leaving.clone()]].concat(), ..staying.clone() };
    test.bus.apply(&both).await.unwrap();
    for _ in 0..2 {
        test.bus.remove_subscriber(&leaving).await.unwrap();
        assert_eq!(test.bus.verify(&staying).await.unwrap(), []);
        let missing = test.bus.verify(&both).await.unwrap();
        let missing: Vec<_> = missing.iter().map(|found| found.resource.replace(&test.prefix, "")).collect();
        let mut gone = vec![
            "queue reader-2-dlq",
            "queue reader-2-undelivered",
            "queue reader-2",
            "subscription test-happened → reader-2",
        ];
        if test.is_embedded() {
            gone.retain(|resource| *resource != "queue reader-2-undelivered");
        }
        assert_eq!(missing, gone);
    }

    let message = messaging::OutgoingMessage {
        body: "m".to_owned(),
        attributes: [("type".to_owned(), HAPPENED.as_str().to_owned())].into(),
    };
    test.bus.publisher().publish(HAPPENED.as_str(), &[message]).await[0].as_ref().unwrap();
    fixtures::eventually("the message is with who stays", async || {
        (test.queue("reader").await.counts().await.unwrap().visible == 1).then_some(())
    })
    .await;
    // Once more beside the other: nothing of the first remains.
    test.bus.apply(&both).await.unwrap();
    assert_eq!(test.queue("reader-2").await.counts().await.unwrap().visible, 0);
    // One who was never made, in an installation that has no topic either.
    let stranger =
        Subscriber { consumer: "stranger".to_owned(), events: [EventType::new("test.unheard")].into(), ..leaving };
    test.bus.remove_subscriber(&stranger).await.unwrap();
}

async fn a_queue_that_is_not_there_is_named(test: TestBus) {
    let error = test.bus.queue("nobodys").await.unwrap_err();
    assert!(error.to_string().contains("nobodys"), "{error}");
}
