use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Service, world::path};

/// SKUs, newest first.
async fn found(service: &Service, query: &str) -> Vec<String> {
    let page = service.get(&format!("/v1/products?{query}")).await.expect(200).json();
    page["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
}

async fn shop() -> Service {
    let service = Service::start().await;
    for (sku, name, description, amount, currency, status) in [
        ("T-1", "Darjeeling First Flush", "Picked by hand", 1_999, "EUR", "available"),
        ("T-2", "Assam", "Strong, goes with milk", 899, "EUR", "available"),
        ("T-3", "Gyokuro", "Grüner Tee aus Japan", 3_200, "JPY", "unavailable"),
        ("C-1", "Coffee", "No tea at all", 899, "USD", "available"),
        ("C-2", "Coffee of last year", "Strong", 100, "EUR", "available"),
    ] {
        let price = json!({"amountMinor": amount, "currency": currency});
        let body = json!({"sku": sku, "name": name, "description": description, "price": price, "status": status});
        let id = service.create(&body).await.expect(201).json()["productId"].as_str().unwrap().parse().unwrap();
        if sku == "C-2" {
            service.discontinue(id).await.expect(204);
        }
    }
    service
}

#[tokio::test]
async fn products_are_found_by_their_words_and_by_what_they_are() {
    let service = shop().await;
    for (query, skus) in [
        ("", &["C-1", "T-3", "T-2", "T-1"][..]),
        ("q=strong", &["T-2"]),
        ("q=STRONG", &["T-2"]),
        ("q=gr%C3%BCner+tee", &["T-3"]),
        ("q=coffee+-milk", &["C-1"]),
        ("q=assam+or+gyokuro", &["T-3", "T-2"]),
        ("q=%22first+flush%22", &["T-1"]),
        ("q=%22flush+first%22", &[]),
        ("q=T-1", &["T-1"]),
        ("q=stro", &[]),
        ("q=%26%7C%21%28%29%3A*%27", &[]),
        ("sku=T-2", &["T-2"]),
        ("sku=t-2", &[]),
        ("status=unavailable", &["T-3"]),
        ("status=discontinued", &["C-2"]),
        ("status=discontinued&q=strong", &["C-2"]),
        ("currency=EUR", &["T-2", "T-1"]),
        ("currency=EUR&minPrice=900", &["T-1"]),
        ("currency=EUR&minPrice=899&maxPrice=899", &["T-2"]),
        ("currency=EUR&maxPrice=1999&q=flush", &["T-1"]),
        ("currency=EUR&minPrice=2000&maxPrice=1000", &[]),
        ("currency=CHF", &[]),
    ] {
        assert_eq!(found(&service, query).await, skus, "{query}");
    }
}

#[tokio::test]
async fn what_is_no_filter_is_refused_by_its_name() {
    let service = Service::start().await;
    let long = format!("q={}", "x".repeat(201));
    for (query, field) in [
        ("q=", "q"),
        ("q=a%00b", "q"),
        (long.as_str(), "q"),
        ("status=sold", "status"),
        ("sku=a+b", "sku"),
        ("currency=eur", "currency"),
        ("minPrice=1", "currency"),
        ("maxPrice=1", "currency"),
        ("currency=EUR&minPrice=-1", "minPrice"),
        ("currency=EUR&maxPrice=1.5", "maxPrice"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=first", "cursor"),
        ("min_price=1", "min_price"),
        ("sort=price", "sort"),
        ("q=a&q=b", "q"),
    ] {
        let answer = service.get(&format!("/v1/products?{query}")).await.expect(422);
        assert_eq!(answer.problem(), "invalid-fields", "{query}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_product_is_sent_again_only_if_it_is_another() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let get =
        async |tag: &str| service.send(service.request(Method::GET, &path(id)).header("if-none-match", tag)).await;
    let tag = service.tag(id).await;
    for same in [tag.clone(), format!("W/{tag}"), format!("\"1\", {tag}"), "*".to_owned()] {
        let answer = get(&same).await.expect(304);
        assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some(tag.as_str())), "{same}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    get("\"1\"").await.expect(200);
    service.change(id, &json!({"name": "Assam"})).await.expect(200);
    let answer = get(&tag).await.expect(200);
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
    assert_eq!(answer.json()["name"], "Assam");
}

#[tokio::test]
async fn a_product_that_is_not_there_is_not_found() {
    let service = Service::start().await;
    for id in [Uuid::new_v4().to_string(), "TEA-0042".to_owned(), "%00".to_owned(), "%ff".to_owned()] {
        let answer = service.get(&format!("/v1/products/{id}")).await.expect(404);
        assert_eq!(answer.problem(), "no-such-product", "{id}");
    }
    assert_eq!(service.get("/v1/products").await.expect(200).json(), json!({"items": [], "next": Value::Null}));
}
