use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use fixtures::TestBus;
use messaging::{EntryError, OutgoingMessage, Publisher, Queue, QueueSettings, ReceiveRequest, conformance::Testbed};
use schemas::EventType;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

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

const HIDDEN: Duration = Duration::from_secs(600);

async fn queue(max_receive_count: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    fixtures::embedded_bus().await.subscribe("reader", &[], settings).await
}

fn messages(count: usize) -> Vec<OutgoingMessage> {
    (0..count).map(|n| OutgoingMessage { body: format!("m{n}"), ..OutgoingMessage::default() }).collect()
}

/// As SQS (`MessageNotInflight`), and unlike LocalStack, which is why the suite doesn't say so.
#[tokio::test]
async fn a_lease_that_ran_out_can_not_be_extended() {
    let (queue, _) = queue(20).await;
    queue.send(&messages(1)).await[0].as_ref().unwrap();
    let request = ReceiveRequest { max: 1, wait: Duration::ZERO, visibility: Duration::ZERO };
    let held = queue.receive(request).await.unwrap().remove(0);
    let extended = queue.change_visibility(&[(held.receipt, HIDDEN)]).await;
    assert!(matches!(extended.as_slice(), [Err(EntryError::Gone { .. })]), "{extended:?}");
    assert_eq!(queue.receive(request).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_receive_ends_when_it_is_told_to_with_what_is_there() {
    let (queue, _) = queue(20).await;
    let request = ReceiveRequest { max: 10, wait: Duration::from_secs(20), visibility: HIDDEN };
    let stop = CancellationToken::new();
    let asked = Instant::now();
    let (received, ()) = tokio::join!(queue.receive_until(request, &stop), async { stop.cancel() });
    assert!(received.unwrap().is_empty());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());

    // What is there is handed out all the same: a stopped poll loses nothing.
    queue.send(&messages(1)).await[0].as_ref().unwrap();
    assert_eq!(queue.receive_until(request, &stop).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_crashed_readers_of_one_queue_share_its_messages_and_lose_none() {
    const COUNT: usize = 1_000;
    let (queue, dead_letters) = queue(1_000).await;
    assert!(queue.send(&messages(COUNT)).await.iter().all(Result::is_ok));
    let mut readers = JoinSet::new();
    for reader in 0..6 {
        let queue = queue.clone();
        readers.spawn(async move {
            let mut seen = Vec::new();
            for round in 0.. {
                // Every third poll is one whose reader dies with what it received.
                let dies = (round + reader) % 3 == 0;
                let visibility = if dies { Duration::from_secs(1) } else { HIDDEN };
                let request = ReceiveRequest { max: 10, wait: Duration::from_secs(3), visibility };
                let received = queue.receive(request).await.unwrap();
                if received.is_empty() {
                    return seen;
                }
                if dies {
                    continue;
                }
                let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
                let deleted = queue.delete(&receipts).await;
                assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
                seen.extend(received.into_iter().map(|message| message.id));
            }
            seen
        });
    }
    let seen = readers.join_all().await.concat();
    assert_eq!(seen.len(), COUNT, "each message is settled by one reader");
    assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), COUNT);
    for queue in [queue, dead_letters] {
        let counts = queue.counts().await.unwrap();
        assert_eq!(counts.visible + counts.in_flight, 0);
    }
}
