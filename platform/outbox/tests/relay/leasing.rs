//! A lease that runs out while its relay is still publishing.

use std::sync::Arc;

use messaging::EntryError;
use outbox::{RelayDatabaseError, Relayed};
use tokio::task::JoinHandle;

use crate::{
    buses::Bus,
    world::{Outbox, outbox, settings},
};

fn relaying(outbox: &Outbox, bus: &Arc<Bus>) -> JoinHandle<Result<Relayed, RelayDatabaseError>> {
    let relay = outbox.relay(bus, settings());
    tokio::spawn(async move { relay.relay_once().await })
}

fn throttled() -> EntryError {
    EntryError::unavailable("Throttled", "too much")
}

#[tokio::test]
async fn a_claimed_event_is_left_alone_until_its_lease_runs_out() {
    let outbox = outbox().await;
    let id = outbox.commit_event().await;
    let (slow, other) = (Bus::gated(|_| Ok(())), Bus::open());
    let slow_relay = relaying(&outbox, &slow);
    slow.entered(1).await;
    assert_eq!(relaying(&outbox, &other).await.unwrap().unwrap().claimed, 0);
    outbox.make_everything_due().await;
    assert_eq!(relaying(&outbox, &other).await.unwrap().unwrap().published, 1);
    slow.open_gate();
    slow_relay.await.unwrap().unwrap();
    assert_eq!(other.times()[&id], 1);
}

#[tokio::test]
async fn a_late_answer_does_not_unsettle_what_another_relay_published() {
    let late_answers = [Ok(()), Err(throttled()), Err(EntryError::refused("InvalidParameter", "no"))];
    for late in late_answers {
        let outbox = outbox().await;
        let id = outbox.commit_event().await;
        let (slow, fast) = (Bus::gated(move |_| late.clone()), Bus::open());
        let slow_relay = relaying(&outbox, &slow);
        slow.entered(1).await;
        outbox.make_everything_due().await;
        assert_eq!(relaying(&outbox, &fast).await.unwrap().unwrap().published, 1);
        let settled = outbox.row(id).await;
        assert_eq!(settled.status, "published");

        slow.open_gate();
        slow_relay.await.unwrap().unwrap();
        assert_eq!(outbox.row(id).await, settled);
    }
}

#[tokio::test]
async fn a_late_failure_does_not_end_the_lease_of_another_relay() {
    for late in [throttled(), EntryError::refused("InvalidParameter", "no")] {
        let outbox = outbox().await;
        let id = outbox.commit_event().await;
        let (first, second) = (Bus::gated(move |_| Err(late.clone())), Bus::gated(|_| Ok(())));
        let first_relay = relaying(&outbox, &first);
        first.entered(1).await;
        outbox.make_everything_due().await;
        let second_relay = relaying(&outbox, &second);
        second.entered(1).await;
        let leased = outbox.row(id).await;

        first.open_gate();
        first_relay.await.unwrap().unwrap();
        assert_eq!(outbox.row(id).await, leased);

        second.open_gate();
        second_relay.await.unwrap().unwrap();
        assert_eq!(outbox.row(id).await.status, "published");
    }
}

#[tokio::test]
async fn a_late_success_counts_whoever_holds_the_lease_by_then() {
    for second_answer in [throttled(), EntryError::refused("InvalidParameter", "no")] {
        let outbox = outbox().await;
        let id = outbox.commit_event().await;
        let (first, second) = (Bus::gated(|_| Ok(())), Bus::gated(move |_| Err(second_answer.clone())));
        let first_relay = relaying(&outbox, &first);
        first.entered(1).await;
        outbox.make_everything_due().await;
        let second_relay = relaying(&outbox, &second);
        second.entered(1).await;

        first.open_gate();
        first_relay.await.unwrap().unwrap();
        let settled = outbox.row(id).await;
        assert_eq!(settled.status, "published");

        second.open_gate();
        second_relay.await.unwrap().unwrap();
        assert_eq!(outbox.row(id).await, settled);
    }
}

#[tokio::test]
async fn a_late_success_counts_though_another_relay_has_failed_by_then() {
    for second_answer in [throttled(), EntryError::refused("InvalidParameter", "no")] {
        let outbox = outbox().await;
        let id = outbox.commit_event().await;
        let (first, second) = (Bus::gated(|_| Ok(())), Bus::answering(move |_| Err(second_answer.clone())));
        let first_relay = relaying(&outbox, &first);
        first.entered(1).await;
        outbox.make_everything_due().await;
        relaying(&outbox, &second).await.unwrap().unwrap();
        assert!(outbox.row(id).await.last_error.is_some());

        first.open_gate();
        first_relay.await.unwrap().unwrap();
        let row = outbox.row(id).await;
        assert_eq!((row.status.as_str(), row.last_error), ("published", None));
    }
}
