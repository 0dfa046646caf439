//! What is kept of a product, and when an event changes nothing.

use serde_json::{Value, json, value::to_raw_value};
use worker::Outcome;

use crate::{
    product_events::{ProductKind, product_event, product_row},
    world::world,
};

#[tokio::test]
async fn each_event_of_a_product_sets_all_that_is_kept_of_it() {
    let world = world().await;
    for kind in ProductKind::ALL {
        world.forget_everything().await;
        // The first that is heard of it, and one that comes after another.
        for version in [3, 9] {
            assert!(matches!(world.deliver_one(&product_event(kind, 1, version)).await, Outcome::Applied), "{kind:?}");
            assert_eq!(world.products().await, [product_row(kind, 1, version)], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_redelivered_event_of_a_product_is_applied_once() {
    let world = world().await;
    for (version, kind) in (1..).zip(ProductKind::ALL) {
        let event = product_event(kind, 1, version);
        assert!(matches!(world.deliver_one(&event).await, Outcome::Applied), "{kind:?}");
        let written = "SELECT xmin::text FROM products";
        let before: String = sqlx::query_scalar(written).fetch_one(&world.database.pool).await.unwrap();
        assert!(matches!(world.deliver_one(&event).await, Outcome::Duplicate), "{kind:?}");
        let after: String = sqlx::query_scalar(written).fetch_one(&world.database.pool).await.unwrap();
        assert_eq!(before, after, "{kind:?}: the row was written again");
    }
}

#[tokio::test]
async fn an_older_event_of_a_product_is_stale_and_changes_nothing() {
    let world = world().await;
    for kept in ProductKind::ALL {
        for older in ProductKind::ALL {
            world.forget_everything().await;
            assert!(matches!(world.deliver_one(&product_event(kept, 1, 9)).await, Outcome::Applied));
            let outcome = world.deliver_one(&product_event(older, 1, 5)).await;
            assert!(matches!(outcome, Outcome::Stale), "{older:?} after {kept:?}: {outcome:?}");
            assert_eq!(world.products().await, [product_row(kept, 1, 9)], "{older:?} after {kept:?}");
        }
    }
}

#[tokio::test]
async fn of_several_events_of_a_product_in_one_batch_the_newest_stays() {
    let world = world().await;
    for kind in ProductKind::ALL {
        world.forget_everything().await;
        let batch =
            [(1, 4), (2, 7), (1, 9), (2, 3), (1, 2)].map(|(number, version)| product_event(kind, number, version));
        let outcomes = world.deliver(&batch).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied)), "{kind:?}: {outcomes:?}");
        assert_eq!(world.products().await, [product_row(kind, 1, 9), product_row(kind, 2, 7)], "{kind:?}");
    }
}

#[tokio::test]
async fn an_event_of_a_product_without_a_sequence_is_rejected_and_its_neighbour_is_applied() {
    let world = world().await;
    for kind in ProductKind::ALL {
        world.forget_everything().await;
        let mut unversioned = product_event(kind, 1, 1);
        unversioned.sequence = None;
        let outcomes = world.deliver(&[unversioned, product_event(kind, 2, 1)]).await;
        let [Outcome::DeadLettered(report), Outcome::Applied] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert!(serde_json::to_string(report).unwrap().contains("no `sequence`"), "{report:?}");
        assert_eq!(world.products().await, [product_row(kind, 2, 1)], "{kind:?}");
    }
}

/// The largest price that JSON's readers agree on, and those beyond what a product may cost.
#[tokio::test]
async fn a_price_is_kept_to_its_last_unit_and_one_that_is_none_is_refused() {
    let world = world().await;
    let largest = 9_007_199_254_740_991_i64;
    for (amount, currency, is_price) in [
        (json!(0), json!("EUR"), true),
        (json!(largest), json!("EUR"), true),
        (json!(largest + 1), json!("EUR"), false),
        (json!(-1), json!("EUR"), false),
        (json!(19.99), json!("EUR"), false),
        (json!(1999), json!("eur"), false),
        (json!(1999), Value::Null, false),
    ] {
        world.forget_everything().await;
        let mut event = product_event(ProductKind::PriceChanged, 1, 1);
        let mut data: Value = serde_json::from_str(event.data.get()).unwrap();
        data["price"] = json!({ "amountMinor": amount, "currency": currency });
        event.data = to_raw_value(&data).unwrap();
        let outcome = world.deliver_one(&event).await;
        let kept = world.products().await;
        match outcome {
            Outcome::Applied => assert!(is_price, "{data}"),
            Outcome::DeadLettered(_) => assert!(!is_price && kept.is_empty(), "{data}: {kept:?}"),
            other => panic!("{data}: {other:?}"),
        }
        if is_price {
            assert_eq!((&kept[0]["price_minor"], &kept[0]["currency"]), (&amount, &currency));
        }
    }
}
