use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Service,
    world::{id_of, path, tea},
};

#[tokio::test]
async fn a_product_that_is_added_can_be_read_and_is_told_of() {
    let service = Service::start().await;
    let added = service.create(&tea("TEA-0042")).await.expect(201);
    let id = id_of(&added);
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(added.header("location"), Some(path(id).as_str()));

    let read = service.get(added.header("location").unwrap()).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (added.json(), added.header("etag")));
    let body = read.json();
    assert_eq!(body["price"], json!({"amountMinor": 1999, "currency": "EUR"}));
    assert_eq!((&body["sku"], &body["status"]), (&json!("TEA-0042"), &json!("available")));

    let events = service.envelopes_of(id).await;
    let [(envelope, data)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((envelope.event_type.as_str(), envelope.source.as_str()), ("product.created", "product-service"));
    for field in ["productId", "sku", "name", "description", "price", "status"] {
        assert_eq!(data[field], body[field], "{field}");
    }
    assert_eq!(added.header("etag").unwrap(), format!("\"{}\"", envelope.sequence.unwrap().get()));
}

#[tokio::test]
async fn a_product_may_be_free_not_described_and_not_to_be_had_yet() {
    let service = Service::start().await;
    let body =
        json!({"sku": "a", "name": "A", "price": {"amountMinor": 0, "currency": "JPY"}, "status": "unavailable"});
    let added = service.create(&body).await.expect(201).json();
    assert_eq!((&added["description"], &added["status"]), (&Value::Null, &json!("unavailable")));
    let longest = "🫖".repeat(4_000);
    let body = json!({"sku": "b", "name": "B", "description": longest, "price": {"amountMinor": 1, "currency": "EUR"}});
    assert_eq!(service.create(&body).await.expect(201).json()["description"], longest);
}

#[tokio::test]
async fn of_many_who_add_one_sku_one_succeeds_and_the_others_are_told() {
    let service = Service::start().await;
    let body = tea("TEA-0042");
    let answers = join_all((0..8).map(|_| service.create(&body))).await;
    let (added, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(added.len(), 1);
    for answer in refused {
        assert_eq!(answer.expect(409).problem(), "sku-taken");
    }
    let (products, events) = service.stored().await;
    assert_eq!((products.len(), events), (1, 1));

    let id = id_of(&added[0]);
    service.discontinue(id).await.expect(204);
    assert_eq!(service.create(&body).await.expect(409).problem(), "sku-taken");
    let found = service.get("/v1/products?sku=TEA-0042&status=discontinued").await.expect(200).json();
    assert_eq!(found["items"][0]["productId"], id.to_string());
}

#[tokio::test]
async fn what_is_no_product_is_refused_by_its_field_and_nothing_is_written() {
    let service = Service::start().await;
    let with = |field: &str, value: Value| {
        let mut body = tea("TEA-0042");
        body[field] = value;
        body
    };
    for (field, value, at) in [
        ("sku", json!(""), "sku"),
        ("sku", json!("TEA 42"), "sku"),
        ("sku", json!("x".repeat(65)), "sku"),
        ("sku", Value::Null, "sku"),
        ("name", json!(""), "name"),
        ("name", json!("two\nlines"), "name"),
        ("name", json!("x".repeat(201)), "name"),
        ("description", json!("x".repeat(4_001)), "description"),
        ("description", json!("a\u{0}b"), "description"),
        ("price", json!({"amountMinor": -1, "currency": "EUR"}), "price.amountMinor"),
        ("price", json!({"amountMinor": 19.99, "currency": "EUR"}), "price.amountMinor"),
        ("price", json!({"amountMinor": "1999", "currency": "EUR"}), "price.amountMinor"),
        ("price", json!({"amountMinor": 9_007_199_254_740_992_i64, "currency": "EUR"}), "price.amountMinor"),
        ("price", json!({"amountMinor": 1, "currency": "eur"}), "price.currency"),
        ("price", json!({"amountMinor": 1, "currency": "EURO"}), "price.currency"),
        ("price", json!({"amountMinor": 1}), "price.currency"),
        ("price", json!({"amountMinor": 1, "currency": "EUR", "vat": 19}), "price.vat"),
        ("price", json!(1999), "price"),
        ("status", json!("discontinued"), "status"),
        ("status", Value::Null, "status"),
        ("productId", json!("0190a0a0-0000-7000-8000-000000000000"), "productId"),
    ] {
        let answer = service.create(&with(field, value.clone())).await.expect(422);
        assert_eq!(answer.problem(), "invalid-fields", "{field} {value}");
        assert_eq!(answer.json()["errors"][0]["field"], at, "{value}: {}", answer.text);
    }
    for (body, status) in [("{", 400), ("[]", 400), ("", 400)] {
        let request = service.by_administrator(Method::POST, "/v1/products").header("content-type", "application/json");
        service.send(request.body(body)).await.expect(status);
    }
    service.send(service.by_administrator(Method::POST, "/v1/products").body("{}")).await.expect(415);
    let long = json!({"sku": "x".repeat(70_000)});
    service.create(&long).await.expect(413);
    assert_eq!(service.stored().await, (vec![], 0));
}
