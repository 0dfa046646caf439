use axum::{extract::FromRequestParts, http::Request};
use fixtures::{TestBus, on_both_buses};
use messaging::OutgoingMessage;
use outbox::{OUTBOX, Wake};
use product_service::{Created, Edit, NewProduct, Store, change, create, discontinue};
use schemas::{Clock, Price, ProductStatus};
use serde_json::json;
use service::http::{IfMatch, TraceContext};
use uuid::Uuid;

use super::World;
use crate::running::terminate;

on_both_buses!(
    an_emptied_catalogue_is_again_what_it_was_and_a_second_run_changes_nothing,
    what_changes_while_it_is_told_wins,
);

fn store(world: &World) -> Store {
    Store::new(world.product.pool.clone(), Wake::none(), Clock::system())
}

/// Of a client that did not say what it saw.
async fn whatever_it_is() -> IfMatch {
    let (mut parts, ()) = Request::new(()).into_parts();
    IfMatch::from_request_parts(&mut parts, &()).await.unwrap()
}

fn price(amount: i64) -> Price {
    Price { amount_minor: amount.try_into().unwrap(), currency: "EUR".parse().unwrap() }
}

async fn add(store: &Store, sku: &str) -> Uuid {
    let new = NewProduct {
        sku: sku.parse().unwrap(),
        name: format!("Tea {sku}").parse().unwrap(),
        description: Some("Green".parse().unwrap()),
        price: price(1999),
        status: ProductStatus::Available,
    };
    match create(store, new, &TraceContext::start()).await.unwrap() {
        Created::Done(product) => product.product_id,
        Created::SkuTaken => panic!("{sku} is taken"),
    }
}

async fn edit(store: &Store, product: Uuid, edit: Edit) {
    change(store, product, &whatever_it_is().await, edit, &TraceContext::start()).await.unwrap();
}

/// What was written to the outbox since, as a relay would publish it.
async fn deliver(world: &World) {
    let events: Vec<String> =
        sqlx::query_scalar("DELETE FROM outbox RETURNING envelope").fetch_all(&world.product.pool).await.unwrap();
    let messages: Vec<_> =
        events.into_iter().map(|body| OutgoingMessage { body, ..OutgoingMessage::default() }).collect();
    for sent in world.installation.bus.queue("user-service").await.send(&messages).await {
        sent.unwrap();
    }
}

async fn with_outbox(bus: TestBus) -> World {
    let world = World::make(bus).await;
    partitions::maintain(&world.product.pool, OUTBOX, Clock::system().now()).await.unwrap();
    world
}

async fn an_emptied_catalogue_is_again_what_it_was_and_a_second_run_changes_nothing(bus: TestBus) {
    let world = with_outbox(bus).await;
    let store = store(&world);
    let [one, two, three] = [add(&store, "A-1").await, add(&store, "A-2").await, add(&store, "A-3").await];
    edit(&store, one, Edit { price: Some(price(2499)), name: Some("Tea, better".parse().unwrap()), ..Edit::default() })
        .await;
    edit(&store, two, Edit { status: Some(ProductStatus::Unavailable), ..Edit::default() }).await;
    discontinue(&store, three, &whatever_it_is().await, &TraceContext::start()).await.unwrap();
    let worker = world.worker().await;
    deliver(&world).await;
    world.until_applied().await;
    let before = world.products().await;
    // Their ids say in which millisecond they were made, and no more.
    let told = |sku: &str, column: &str| before.iter().find(|row| row["sku"] == sku).map(|row| row[column].clone());
    let statuses = ["A-1", "A-2", "A-3"].map(|sku| told(sku, "status"));
    assert_eq!(statuses, ["available", "unavailable", "discontinued"].map(|status| Some(json!(status))), "{before:?}");
    assert_eq!((told("A-1", "name"), told("A-1", "price_minor")), (Some(json!("Tea, better")), Some(json!(2499))));

    world.empty().await;
    let report = world.backfilled("product", &[]).await;
    assert_eq!(report["events"], json!({ "product.created": 2, "product.discontinued": 1 }), "{report}");
    world.until_applied().await;
    assert_eq!(world.products().await, before);

    let whole = world.rows("products", "product_id", "").await;
    world.backfilled("product", &[]).await;
    world.until_applied().await;
    assert_eq!(world.events_seen().await, 6, "another run's events are others");
    assert_eq!(world.rows("products", "product_id", "").await, whole);
    terminate(worker).await;
}

/// It comes after what was read before it, or before: whatever lay longer in the queue.
async fn what_changes_while_it_is_told_wins(bus: TestBus) {
    let world = with_outbox(bus).await;
    let store = store(&world);
    let [one, two] = [add(&store, "A-1").await, add(&store, "A-2").await];
    sqlx::query("DELETE FROM outbox").execute(&world.product.pool).await.unwrap();
    world.backfilled("product", &[]).await;
    edit(&store, one, Edit { price: Some(price(2499)), ..Edit::default() }).await;
    deliver(&world).await;

    // Told before anybody worked, and delivered after the change of it.
    let queue = world.installation.bus.queue("user-service").await;
    let request = messaging::ReceiveRequest {
        max: 10,
        wait: std::time::Duration::from_secs(1),
        visibility: std::time::Duration::from_secs(60),
    };
    let mut held = Vec::new();
    fixtures::eventually("all that was sent", async || {
        held.extend(queue.receive(request).await.unwrap());
        (held.len() == 3).then_some(())
    })
    .await;
    let (told, changed): (Vec<_>, Vec<_>) = held.iter().partition(|message| message.body.contains("product.created"));
    assert_eq!((told.len(), changed.len()), (2, 1));
    let worker = world.worker().await;
    for messages in [changed, told] {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| OutgoingMessage { body: message.body.clone(), ..OutgoingMessage::default() })
            .collect();
        for sent in queue.send(&messages).await {
            sent.unwrap();
        }
        let receipts: Vec<_> = held.iter().map(|message| message.receipt.clone()).collect();
        queue.delete(&receipts).await;
        world.until_applied().await;
    }
    let prices: Vec<_> = world.products().await.iter().map(|row| row["price_minor"].clone()).collect();
    assert_eq!(prices, [2499, 1999]);
    discontinue(&store, two, &whatever_it_is().await, &TraceContext::start()).await.unwrap();
    deliver(&world).await;
    world.until_applied().await;
    assert_eq!(world.products().await[1]["status"], "discontinued");
    terminate(worker).await;
}
