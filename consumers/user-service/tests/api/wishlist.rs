use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Service, recording, world::Person};

const PATH: &str = "/v1/me/wishlist";

async fn items(service: &Service, person: &Person) -> Vec<Value> {
    service.get(person, PATH).await.expect(200).json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_item_shows_what_its_product_costs_now_and_what_it_cost_when_it_was_added() {
    let service = Service::start().await;
    let (person, product) = (service.person().await, Uuid::new_v4());
    service.product(product, "Darjeeling", 1_999, "available").await;
    let added = service.wish(&person, product).await.expect(201).json();
    let price = |minor: i64| json!({"amountMinor": minor, "currency": "EUR"});
    assert_eq!((&added["name"], &added["sku"]), (&json!("Darjeeling"), &json!(product)));
    assert_eq!((&added["price"], &added["priceWhenAdded"]), (&price(1_999), &price(1_999)));
    assert_eq!((&added["productState"], &added["availability"]), (&json!("known"), &json!("available")));

    service.product(product, "Darjeeling", 1_499, "unavailable").await;
    let shown = items(&service, &person).await.pop().unwrap();
    assert_eq!((&shown["price"], &shown["priceWhenAdded"]), (&price(1_499), &price(1_999)));
    assert_eq!(shown["availability"], "unavailable");
    service.product(product, "Darjeeling", 1_499, "discontinued").await;
    let shown = items(&service, &person).await.pop().unwrap();
    assert_eq!((&shown["availability"], &shown["name"]), (&json!("discontinued"), &json!("Darjeeling")));
}

#[tokio::test]
async fn a_product_of_which_nothing_was_heard_yet_may_be_wished_for() {
    let service = Service::start().await;
    let (person, product) = (service.person().await, Uuid::new_v4());
    let added = service.wish(&person, product).await.expect(201).json();
    for field in ["name", "sku", "price", "priceWhenAdded", "availability"] {
        assert_eq!(added[field], Value::Null, "{field}");
    }
    assert_eq!(added["productState"], "pending");
    service.product(product, "Darjeeling", 1_999, "available").await;
    let shown = items(&service, &person).await.pop().unwrap();
    assert_eq!((&shown["productState"], &shown["price"]["amountMinor"]), (&json!("known"), &json!(1_999)));
    assert_eq!(shown["priceWhenAdded"], Value::Null, "what it cost then was not known");
    // To add it again changes nothing of that.
    service.wish(&person, product).await.expect(200);
    assert_eq!(items(&service, &person).await, [shown]);
}

#[tokio::test]
async fn an_item_is_there_once_however_often_it_is_added_and_gone_however_often_it_is_removed() {
    let service = Service::start().await;
    let (person, product) = (service.person().await, Uuid::new_v4());
    let answers = service.at_once(&person, (0..8).map(|_| service.wish(&person, product))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert!(answers.iter().all(|answer| answer.json() == answers[0].json()));
    assert_eq!(items(&service, &person).await.len(), 1);
    let path = format!("{PATH}/{product}");
    for _ in 0..2 {
        service.delete(&person, &path).await.expect(204);
    }
    assert!(items(&service, &person).await.is_empty());
    for method in [Method::PUT, Method::DELETE] {
        let answer = service.send(service.by(&person, method, &format!("{PATH}/TEA-0042"))).await;
        assert_eq!(answer.expect(404).problem(), "no-such-product");
    }
}

#[tokio::test]
async fn five_hundred_are_kept() {
    let service = Service::start().await;
    let person = service.person().await;
    service
        .execute(&format!(
            "INSERT INTO wishlist_items (user_id, product_id) SELECT '{}', gen_random_uuid() FROM generate_series(1, 498)",
            person.id
        ))
        .await;
    let products: Vec<_> = (0..4).map(|_| Uuid::new_v4()).collect();
    let answers = service.at_once(&person, products.iter().map(|product| service.wish(&person, *product))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|answer| answer.status == 409 && answer.problem() == "limit-reached"));
    let kept = products.iter().zip(&answers).find(|(_, answer)| answer.status == 201).unwrap().0;
    service.wish(&person, *kept).await.expect(200);
}

/// One for who is asking, and one for the page.
#[tokio::test]
async fn a_page_is_one_statement_however_many_items_it_has() {
    recording::begin();
    let service = Service::start().await;
    let person = service.person().await;
    for (items, limit) in [(0, 50), (1, 50), (199, 200)] {
        service
            .execute(&format!(
                "WITH made AS (
                   INSERT INTO products (product_id, sku, name, price_minor, currency, status, sequence)
                   SELECT gen_random_uuid(), 'sku', 'Tea', 1, 'EUR', 'available', 1 FROM generate_series(1, {items})
                   RETURNING product_id)
                 INSERT INTO wishlist_items (user_id, product_id) SELECT '{}', product_id FROM made",
                person.id
            ))
            .await;
        recording::statements();
        let page = service.get(&person, &format!("{PATH}?limit={limit}")).await.expect(200).json();
        let statements = recording::statements();
        assert!(page["items"].as_array().unwrap().len() >= items);
        let of_the_service: Vec<_> = statements.iter().filter(|statement| statement.contains("FROM")).collect();
        assert_eq!(of_the_service.len(), 2, "{items}: {statements:?}");
        assert!(statements.iter().filter(|statement| statement.contains("wishlist_items")).count() == 1);
    }
}
