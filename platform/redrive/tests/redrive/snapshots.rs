//! Looking at a queue: everything once, nothing lost, and leases that last as long as the look.

use std::{sync::Arc, time::Duration};

use fixtures::{TestBus, eventually, on_both_buses};
use redrive::{Look, Snapshot};
use tokio_util::sync::CancellationToken;

use crate::place::Place;

on_both_buses!(
    a_snapshot_has_every_letter_once_and_hands_all_of_them_back,
    copies_of_an_event_are_one_letter,
    leases_are_kept_up_for_as_long_as_somebody_looks,
    a_second_look_sees_what_the_first_does_not_hold_and_says_so,
    a_look_that_is_stopped_holds_what_it_has_and_gives_it_back,
);

async fn a_snapshot_has_every_letter_once_and_hands_all_of_them_back(bus: TestBus) {
    let place = Place::make(&bus).await;
    let letters = place.bury(234).await;
    let snapshot = place.snapshot().await;
    let saw = snapshot.saw();
    assert_eq!((saw.letters, saw.messages, saw.complete), (234, 234, true), "{saw:?}");
    let numbers: Vec<u32> = (0..234).collect();
    let mut ids: Vec<_> = snapshot
        .read(&numbers, &place.database.pool)
        .await
        .unwrap()
        .iter()
        .map(|letter| letter.id().to_owned())
        .collect();
    ids.sort();
    let mut expected: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(place.places.dead_letters.counts().await.unwrap().in_flight, 234);
    assert_eq!(snapshot.hand_back().await, 0);
    let counts = place.places.dead_letters.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (234, 0));
    // Once is enough.
    assert_eq!(snapshot.hand_back().await, 0);
}

async fn copies_of_an_event_are_one_letter(bus: TestBus) {
    let place = Place::make(&bus).await;
    let letters = place.bury(2).await;
    for sent in place.places.dead_letters.send(&[letters[0].message.clone(), letters[0].message.clone()]).await {
        sent.unwrap();
    }
    let snapshot = place.snapshot().await;
    assert_eq!((snapshot.saw().letters, snapshot.saw().messages), (2, 4));
    let read = snapshot.read(&[0, 1], &place.database.pool).await.unwrap();
    let first = read.iter().find(|letter| letter.id() == letters[0].id).unwrap();
    assert_eq!(first.copies.len(), 3);
    snapshot.hand_back().await;
}

async fn leases_are_kept_up_for_as_long_as_somebody_looks(bus: TestBus) {
    let place = Place::make(&bus).await;
    place.bury(25).await;
    let look = Look { lease: Duration::from_secs(6), ..Look::default() };
    let stop = CancellationToken::new();
    let snapshot = Snapshot::take(place.places.dead_letters.clone(), look, &stop, |_, _| {}).await.unwrap();
    let begun = tokio::time::Instant::now();
    // Two leases long, all the time.
    eventually("two leases are over", async || {
        let counts = place.places.dead_letters.counts().await.unwrap();
        assert_eq!((counts.visible, counts.in_flight), (0, 25));
        (begun.elapsed() > 2 * look.lease).then_some(())
    })
    .await;
    snapshot.hand_back().await;
    assert_eq!(place.places.dead_letters.counts().await.unwrap().visible, 25);
}

async fn a_second_look_sees_what_the_first_does_not_hold_and_says_so(bus: TestBus) {
    let place = Place::make(&bus).await;
    place.bury(20).await;
    let look = Look { most: 10, ..Look::default() };
    let stop = CancellationToken::new();
    let first = Snapshot::take(place.places.dead_letters.clone(), look, &stop, |_, _| {}).await.unwrap();
    assert_eq!((first.letters(), first.saw().complete), (10, false));
    let second = place.snapshot().await;
    let saw = second.saw();
    assert_eq!((saw.letters, saw.held_by_others, saw.complete), (10, 10, false));
    assert_eq!(saw.sentence(), "saw 10 of about 20 messages; 10 were held by somebody else");
    first.hand_back().await;
    second.hand_back().await;
    assert!(place.snapshot().await.saw().complete);
}

async fn a_look_that_is_stopped_holds_what_it_has_and_gives_it_back(bus: TestBus) {
    let place = Place::make(&bus).await;
    place.bury(300).await;
    let stop = CancellationToken::new();
    let (queue, stopping) = (place.places.dead_letters.clone(), Arc::new(stop.clone()));
    let told = move |seen: usize, _: u64| {
        if seen >= 50 {
            stopping.cancel();
        }
    };
    let snapshot = Snapshot::take(queue, Look::default(), &stop, told).await.unwrap();
    assert!((50..300).contains(&snapshot.letters()), "{}", snapshot.letters());
    assert!(!snapshot.saw().complete);
    snapshot.hand_back().await;
    let counts = place.places.dead_letters.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (300, 0));
}
