//! The shop at work.

use fixtures::{TestBus, eventually};
use outbox::Wake;
use schemas::Clock;
use tutorial::{Order, OrderError, OrderPlacedV1, OrderPlacedV2, Orders};

use crate::world::{World, message, order};

fixtures::on_both_buses!(
    an_order_becomes_a_delivery,
    an_order_that_is_placed_again_ends_in_what_was_said_last,
    an_order_whose_event_is_refused_is_not_kept,
    a_redelivered_event_is_applied_once,
    an_older_version_is_raised,
    an_event_that_comes_late_changes_nothing,
    an_event_that_breaks_its_schema_is_dead_lettered_with_its_reason,
);

async fn an_order_becomes_a_delivery(bus: TestBus) {
    let world = World::start(bus).await;
    let order = Order { express: true, ..order("Alice") };
    world.orders.place(order.clone()).await.unwrap();
    assert!(world.until_delivered_to(order.id, "Alice").await);
    world.stop().await;
}

async fn an_order_that_is_placed_again_ends_in_what_was_said_last(bus: TestBus) {
    let world = World::start(bus).await;
    let now = Clock::system().now();
    let orders = Orders::new(world.shop.pool.clone(), Wake::none(), Clock::reading(move || now));
    let first = order("Alice");
    let again = Order { delivery_name: "Bob".parse().unwrap(), ..first.clone() };
    orders.place(first.clone()).await.unwrap();
    orders.place(again).await.unwrap();
    world.until_applied(2).await;
    assert_eq!(world.deliveries().await[&first.id].0, "Bob");
    world.stop().await;
}

async fn an_order_whose_event_is_refused_is_not_kept(bus: TestBus) {
    let world = World::start(bus).await;
    sqlx::query("ALTER TABLE outbox ADD CHECK (subject = '')").execute(&world.shop.pool).await.unwrap();
    let error = world.orders.place(order("Alice")).await.unwrap_err();
    assert!(matches!(error, OrderError::Append(_)), "{error:?}");
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&world.shop.pool).await.unwrap();
    assert_eq!(orders, 0);
    world.stop().await;
}

async fn a_redelivered_event_is_applied_once(bus: TestBus) {
    let world = World::start(bus).await;
    let placed = message(&placed("Alice"), 1);
    world.deliver(&[placed.clone(), placed.clone(), placed]).await;
    eventually("two redeliveries", async || {
        let redeliveries = world.count("SELECT coalesce(sum(redeliveries), 0)::bigint FROM event_logs").await;
        (redeliveries == 2).then_some(())
    })
    .await;
    assert_eq!(world.deliveries().await.len(), 1);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
    world.stop().await;
}

async fn an_older_version_is_raised(bus: TestBus) {
    let world = World::start(bus).await;
    let OrderPlacedV2 { order_id, article, delivery_name, placed_at, .. } = placed("Alice");
    let old = OrderPlacedV1 { order_id, article, delivery_name, placed_at };
    world.deliver(&[message(&old, 1)]).await;
    assert!(!world.until_delivered_to(order_id, "Alice").await, "version 1 knew no express delivery");
    world.stop().await;
}

async fn an_event_that_comes_late_changes_nothing(bus: TestBus) {
    let world = World::start(bus).await;
    let newer = placed("Bob");
    let older = OrderPlacedV2 { delivery_name: "Alice".parse().unwrap(), ..newer.clone() };
    world.deliver(&[message(&newer, 2)]).await;
    world.until_applied(1).await;
    world.deliver(&[message(&older, 1)]).await;
    world.until_applied(2).await;
    assert_eq!(world.deliveries().await[&newer.order_id].0, "Bob");
    world.stop().await;
}

async fn an_event_that_breaks_its_schema_is_dead_lettered_with_its_reason(bus: TestBus) {
    let world = World::start(bus).await;
    let broken = message(&placed("Alice"), 1).replace("tea-100", "-tea for alice@example.com");
    world.deliver(&[broken.clone(), message(&placed("Bob"), 1)]).await;
    let (letter, report) = world.until_dead_letter().await;
    assert_eq!(letter.body, broken, "it is kept whole");
    assert_eq!(report.reason, "breaks-schema");
    assert!(report.causes.iter().any(|cause| cause.starts_with("`data.article`: expected a SKU")), "{report:?}");
    assert!(!format!("{report:?}").contains("alice"), "a reason quotes no data: {report:?}");
    world.until_applied(1).await;
    world.stop().await;
}

fn placed(name: &str) -> OrderPlacedV2 {
    let Order { id, article, delivery_name, express, announce_to } = order(name);
    let placed_at = Clock::system().now();
    OrderPlacedV2 { order_id: id, article, delivery_name, placed_at, express, announce_to }
}
