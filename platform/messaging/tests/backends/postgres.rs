use std::sync::Arc;

use async_trait::async_trait;
use fixtures::TestBus;
use messaging::{Publisher, Queue, QueueSettings, conformance::Testbed};
use schemas::EventType;

struct Embedded(TestBus);

#[async_trait]
impl Testbed for Embedded {
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

async fn embedded() -> Embedded {
    Embedded(fixtures::embedded_bus().await)
}

messaging::conformance_suite!(embedded());
