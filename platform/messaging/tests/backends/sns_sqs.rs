use std::sync::Arc;

use async_trait::async_trait;
use fixtures::TestBus;
use messaging::{AwsBus, AwsSettings, Bus, Publisher, Queue, QueueSettings, conformance::Testbed};
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
