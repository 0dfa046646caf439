//! Polls that wait for long, and what must not wait for them.

use std::time::Duration;

use fixtures::eventually;
use messaging::{Bus, OutgoingMessage, QueueSettings, ReceiveRequest};
use tokio::{task::JoinSet, time::Instant};

use crate::proxy::Proxy;

fn waiting(seconds: u64) -> ReceiveRequest {
    ReceiveRequest { max: 10, wait: Duration::from_secs(seconds), visibility: Duration::from_secs(600) }
}

/// Time-outs and the SDK's protection against stalled streams are about answers; here nothing is to be answered yet.
#[tokio::test]
async fn a_quiet_poll_of_twenty_seconds_is_not_cut() {
    let bus = fixtures::bus().await;
    let (queue, _) = bus.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    let proxy = Proxy::start().await;
    let queue = proxy.bus(&bus.prefix).await.queue(queue.name()).await.unwrap();
    let asked = Instant::now();
    let received = queue.receive(waiting(20)).await.unwrap();
    assert!(received.is_empty());
    assert!(asked.elapsed() > Duration::from_secs(19), "answered after {:?}", asked.elapsed());
    // Cut and tried again, it would be quiet as well.
    assert_eq!(proxy.receives(), 1);
}

#[tokio::test]
async fn a_delete_is_answered_while_any_number_of_polls_is_open() {
    const POLLS: usize = 60;
    let bus = fixtures::bus().await;
    let (direct, _) = bus.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    let message = OutgoingMessage { body: "m".to_owned(), ..OutgoingMessage::default() };
    direct.send(&[message]).await[0].as_ref().unwrap();
    let held = direct.receive(waiting(1)).await.unwrap().remove(0);

    let proxy = Proxy::start().await;
    let queue = proxy.bus(&bus.prefix).await.queue(direct.name()).await.unwrap();
    let mut polls = JoinSet::new();
    for _ in 0..POLLS {
        let queue = queue.clone();
        polls.spawn(async move { queue.receive(waiting(10)).await.unwrap() });
    }
    eventually("all polls are open", async || (proxy.receives() == POLLS).then_some(())).await;
    assert_eq!(queue.delete(&[held.receipt]).await, [Ok(())]);
    assert!(polls.try_join_next().is_none(), "a poll ended before the delete was answered");
    for received in polls.join_all().await {
        assert!(received.is_empty(), "{received:?}");
    }
    assert_eq!(proxy.receives(), POLLS);
}
