//! What every backend promises, as a suite: one function per promise, each on topics and queues of its own.
//!
//! A backend implements [`Testbed`] and calls [`conformance_suite!`](crate::conformance_suite) in its tests. The worker
//! and the relay rely on exactly these promises, and on nothing more.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemas::EventType;
use tokio::time::Instant;

use crate::{EntryError, OutgoingMessage, Publisher, Queue, QueueSettings, RawMessage, Receipt, ReceiveRequest};

/// A fresh bus for one test.
#[async_trait]
pub trait Testbed: Send + Sync {
    /// Makes the consumer's queue and dead-letter queue, subscribed to `events`.
    async fn subscribe(
        &self,
        consumer: &str,
        events: &[EventType],
        settings: QueueSettings,
    ) -> (Arc<dyn Queue>, Arc<dyn Queue>);

    fn publisher(&self) -> Arc<dyn Publisher>;
}

/// Makes one `#[tokio::test]` per promise, run on what `$testbed` (an async expression) answers.
#[macro_export]
macro_rules! conformance_suite {
    ($testbed:expr) => {
        $crate::conformance_suite!(@each $testbed;
            a_published_message_reaches_every_subscriber_whole,
            a_message_of_a_filtered_type_is_kept_out,
            results_stand_at_the_position_of_their_entry,
            a_received_message_is_hidden_and_comes_back_counted,
            an_extended_message_stays_hidden,
            a_handed_back_message_comes_at_once_and_counted,
            a_deleted_message_is_gone_and_its_receipt_void,
            a_receipt_is_void_once_the_message_was_handed_out_again,
            a_message_received_too_often_moves_to_the_dead_letter_queue_whole,
            an_empty_queue_answers_after_the_wait,
            a_waiting_receive_is_woken_by_a_message,
            a_receive_hands_out_ten_at_the_most,
            bytes_that_mean_nothing_are_kept_as_they_were,
        );
    };
    (@each $testbed:expr; $($promise:ident,)+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::conformance::$promise(&$testbed.await).await;
            }
        )+
    };
}

const CREATED: EventType = EventType::new("test.created");
const REMOVED: EventType = EventType::new("test.removed");
const SOON: Duration = Duration::from_secs(20);
const HIDDEN: Duration = Duration::from_secs(30);

fn message(body: &str) -> OutgoingMessage {
    let attributes = [("type", CREATED.as_str()), ("schemaversion", "1"), ("source", "suite")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    OutgoingMessage { body: body.to_owned(), attributes }
}

async fn queue(bed: &dyn Testbed) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
    bed.subscribe("reader", &[CREATED], QueueSettings::DEFAULT).await
}

async fn receive(queue: &dyn Queue, wait: Duration, visibility: Duration) -> Vec<RawMessage> {
    queue.receive(ReceiveRequest { max: 10, wait, visibility }).await.expect("receive")
}

/// Receives until there are `count` messages, and no longer than [`SOON`].
async fn receive_count(queue: &dyn Queue, count: usize, visibility: Duration) -> Vec<RawMessage> {
    let deadline = Instant::now() + SOON;
    let mut received = Vec::new();
    while received.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages came in {SOON:?}", received.len());
        received.extend(receive(queue, Duration::from_secs(1), visibility).await);
    }
    assert_eq!(received.len(), count);
    received
}

async fn receive_one(queue: &dyn Queue, visibility: Duration) -> RawMessage {
    receive_count(queue, 1, visibility).await.remove(0)
}

async fn send(queue: &dyn Queue, bodies: &[&str]) {
    let messages: Vec<_> = bodies.iter().map(|body| message(body)).collect();
    for result in queue.send(&messages).await {
        result.expect("send");
    }
}

pub async fn a_published_message_reaches_every_subscriber_whole(bed: &dyn Testbed) {
    let (first, _) = bed.subscribe("first", &[CREATED], QueueSettings::DEFAULT).await;
    let (second, _) = bed.subscribe("second", &[CREATED, REMOVED], QueueSettings::DEFAULT).await;
    let sent = message("{\"text\":\"größer ☃ \\\"quoted\\\"\"}");
    let results = bed.publisher().publish(CREATED.as_str(), std::slice::from_ref(&sent)).await;
    assert!(matches!(results.as_slice(), [Ok(_)]), "{results:?}");
    for queue in [first, second] {
        let received = receive_one(&*queue, HIDDEN).await;
        assert_eq!(received.to_outgoing(), sent);
        assert_eq!(received.receive_count, 1);
        assert!(received.sent_at.is_some());
    }
}

pub async fn a_message_of_a_filtered_type_is_kept_out(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    let mut stray = message("stray");
    stray.attributes.insert("type".to_owned(), REMOVED.to_string());
    let results = bed.publisher().publish(CREATED.as_str(), &[stray, message("ours")]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(receive_one(&*queue, HIDDEN).await.body, "ours");
    assert!(receive(&*queue, Duration::from_secs(1), HIDDEN).await.is_empty());
}

pub async fn results_stand_at_the_position_of_their_entry(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    let unsendable = message("not \u{fffe} a character");
    let results = bed.publisher().publish(CREATED.as_str(), &[message("a"), unsendable, message("c")]).await;
    assert!(matches!(results.as_slice(), [Ok(_), Err(EntryError::Refused { .. }), Ok(_)]), "{results:?}");

    let received = receive_count(&*queue, 2, HIDDEN).await;
    let receipts = [received[0].receipt.clone(), Receipt("no receipt".to_owned()), received[1].receipt.clone()];
    let extended: Vec<_> = receipts.iter().map(|receipt| (receipt.clone(), HIDDEN)).collect();
    for results in [queue.change_visibility(&extended).await, queue.delete(&receipts).await] {
        assert!(matches!(results.as_slice(), [Ok(()), Err(EntryError::Gone { .. }), Ok(())]), "{results:?}");
    }
}

pub async fn a_received_message_is_hidden_and_comes_back_counted(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    send(&*queue, &["m"]).await;
    let first = receive_one(&*queue, Duration::from_secs(2)).await;
    assert!(receive(&*queue, Duration::ZERO, HIDDEN).await.is_empty());
    let again = receive_one(&*queue, HIDDEN).await;
    assert_eq!((again.id, again.receive_count), (first.id, 2));
    assert_ne!(again.receipt, first.receipt);
}

pub async fn an_extended_message_stays_hidden(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    send(&*queue, &["m"]).await;
    let held = receive_one(&*queue, Duration::from_secs(1)).await;
    let extended = queue.change_visibility(&[(held.receipt, HIDDEN)]).await;
    assert_eq!(extended, [Ok(())]);
    // Longer than the first visibility.
    assert!(receive(&*queue, Duration::from_secs(2), HIDDEN).await.is_empty());
}

pub async fn a_handed_back_message_comes_at_once_and_counted(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    send(&*queue, &["m"]).await;
    let held = receive_one(&*queue, Duration::from_secs(600)).await;
    assert_eq!(queue.change_visibility(&[(held.receipt, Duration::ZERO)]).await, [Ok(())]);
    assert_eq!(receive_one(&*queue, HIDDEN).await.receive_count, 2);
}

pub async fn a_deleted_message_is_gone_and_its_receipt_void(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    send(&*queue, &["m"]).await;
    let held = receive_one(&*queue, Duration::from_secs(1)).await;
    assert_eq!(queue.delete(std::slice::from_ref(&held.receipt)).await, [Ok(())]);
    assert!(receive(&*queue, Duration::from_secs(2), HIDDEN).await.is_empty());
    let changed = queue.change_visibility(&[(held.receipt, HIDDEN)]).await;
    assert!(matches!(changed.as_slice(), [Err(EntryError::Gone { .. })]), "{changed:?}");
}

/// SQS may answer `Ok` to a void receipt, so the promise is about what happens to the message: nothing.
pub async fn a_receipt_is_void_once_the_message_was_handed_out_again(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    send(&*queue, &["m"]).await;
    let first = receive_one(&*queue, Duration::from_secs(1)).await;
    let second = receive_one(&*queue, Duration::from_secs(600)).await;
    let _ = queue.change_visibility(&[(second.receipt.clone(), Duration::ZERO)]).await;
    let third = receive_one(&*queue, Duration::from_secs(600)).await;
    assert_eq!((first.receive_count, second.receive_count, third.receive_count), (1, 2, 3));
    assert_eq!(queue.delete(&[third.receipt]).await, [Ok(())]);
    let late = queue.change_visibility(&[(first.receipt, Duration::ZERO), (second.receipt, Duration::ZERO)]).await;
    assert!(late.iter().all(|result| matches!(result, Err(EntryError::Gone { .. }))), "{late:?}");
    assert!(receive(&*queue, Duration::from_secs(1), HIDDEN).await.is_empty());
}

pub async fn a_message_received_too_often_moves_to_the_dead_letter_queue_whole(bed: &dyn Testbed) {
    let settings = QueueSettings { max_receive_count: 2, ..QueueSettings::DEFAULT };
    let (queue, dead_letters) = bed.subscribe("reader", &[CREATED], settings).await;
    send(&*queue, &["m"]).await;
    for _ in 0..2 {
        let held = receive_one(&*queue, HIDDEN).await;
        assert_eq!(queue.change_visibility(&[(held.receipt, Duration::ZERO)]).await, [Ok(())]);
    }
    assert!(receive(&*queue, Duration::from_secs(1), HIDDEN).await.is_empty());
    assert_eq!(receive_one(&*dead_letters, HIDDEN).await.to_outgoing(), message("m"));
}

pub async fn an_empty_queue_answers_after_the_wait(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    let asked = Instant::now();
    assert!(receive(&*queue, Duration::from_secs(2), HIDDEN).await.is_empty());
    assert!(asked.elapsed() >= Duration::from_millis(1_500), "answered after {:?}", asked.elapsed());
}

pub async fn a_waiting_receive_is_woken_by_a_message(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { (receive(&*queue, SOON, HIDDEN).await, Instant::now()) }
    });
    // Whether the receive already waits makes no difference to the promise.
    tokio::task::yield_now().await;
    let sent_at = Instant::now();
    send(&*queue, &["m"]).await;
    let (received, at) = waiting.await.expect("the receive ends");
    assert_eq!(received.len(), 1);
    assert!(at - sent_at < SOON / 2, "woken after {:?}", at - sent_at);
}

pub async fn a_receive_hands_out_ten_at_the_most(bed: &dyn Testbed) {
    let (queue, _) = queue(bed).await;
    let bodies: Vec<_> = (0..25).map(|n| format!("m{n}")).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let deadline = Instant::now() + SOON;
    let mut seen = Vec::new();
    while seen.len() < bodies.len() {
        assert!(Instant::now() < deadline, "{} of {} came", seen.len(), bodies.len());
        let some = receive(&*queue, Duration::from_secs(1), HIDDEN).await;
        assert!(some.len() <= 10, "{} in one receive", some.len());
        let deleted = queue.delete(&some.iter().map(|m| m.receipt.clone()).collect::<Vec<_>>()).await;
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        seen.extend(some.into_iter().map(|m| m.body));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), bodies.len());
    let counts = queue.counts().await.expect("counts");
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
}

pub async fn bytes_that_mean_nothing_are_kept_as_they_were(bed: &dyn Testbed) {
    let (queue, dead_letters) = queue(bed).await;
    let bodies = ["{\"specversion\":", "\u{7f}\t\r\n ☃ \u{10ffff}", "null", "\"\"", "{\"a\" : 1.0, \"a\":2}"];
    for queue in [queue, dead_letters] {
        send(&*queue, &bodies).await;
        let mut received: Vec<_> =
            receive_count(&*queue, bodies.len(), HIDDEN).await.into_iter().map(|m| m.body).collect();
        received.sort();
        let mut sent = bodies.map(str::to_owned);
        sent.sort();
        assert_eq!(received, sent);
    }
}
