use std::sync::Arc;

use async_trait::async_trait;
use fixtures::TestBus;
use messaging::{
    AwsBus, AwsSettings, Bus, Publisher, Queue, QueueSettings, Subscriber, Topology, conformance::Testbed,
};
use schemas::EventType;

struct LocalStack(TestBus);

#[async_trait]
impl Testbed for LocalStack {
    async fn subscribe(
        &self,
        consumer: &str,
        events: &[EventType],
        settings: QueueSettings,
    ) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        self.0.subscribe(consumer, events, settings).await
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        self.0.bus.publisher()
    }
}

async fn local_stack() -> LocalStack {
    LocalStack(fixtures::bus().await)
}

messaging::conformance_suite!(local_stack());

const HAPPENED: EventType = EventType::new("test.happened");

fn topology(max_receive_count: u32) -> Topology {
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    let subscriber = Subscriber { consumer: "reader".to_owned(), events: [HAPPENED].into(), settings };
    Topology { subscribers: vec![subscriber], published: [EventType::new("test.announced")].into() }
}

#[tokio::test]
async fn applying_a_topology_twice_changes_nothing_and_drift_is_named() {
    let test = fixtures::bus().await;
    let missing = test.bus.verify(&topology(20)).await.unwrap();
    let resources: Vec<_> = missing.iter().map(|d| d.resource.replace(&test.prefix, "")).collect();
    assert_eq!(
        resources,
        [
            "topic test-announced",
            "topic test-happened",
            "queue reader-dlq",
            "queue reader",
            "subscription test-happened → reader"
        ]
    );
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), missing);
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), []);

    let drift = test.bus.verify(&topology(7)).await.unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!(drift[0].setting, "RedrivePolicy");
    test.bus.apply(&topology(7)).await.unwrap();
    assert_eq!(test.bus.verify(&topology(7)).await.unwrap(), []);
}

#[tokio::test]
async fn publishing_to_a_topic_that_is_not_there_can_be_tried_again() {
    let test = fixtures::bus().await;
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    let results = test.bus.publisher().publish("test.happened", &[message]).await;
    let Err(messaging::EntryError::Unavailable { code, message }) = &results[0] else { panic!("{results:?}") };
    assert_eq!(code, "NoTopic");
    assert!(message.contains("waypost topology apply"), "{message}");
}

#[tokio::test]
async fn a_bus_that_is_not_there_is_waited_for_and_then_named() {
    let settings = AwsSettings {
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..AwsSettings::default()
    };
    let error = AwsBus::new(settings).await.wait_until_ready(std::time::Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "SNS and SQS at http://127.0.0.1:9 did not answer within 1s");
}
