use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{Service, world::path};

#[tokio::test]
async fn a_product_is_discontinued_once_and_for_ever() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    for answer in join_all((0..4).map(|_| service.discontinue(id))).await {
        answer.expect(204);
    }
    service.discontinue(id).await.expect(204);
    assert_eq!(service.event_types_of(id).await, ["product.created", "product.discontinued"]);
    let (_, told) = service.envelopes_of(id).await.pop().unwrap();
    assert_eq!(told["status"], "discontinued");
    assert_eq!(service.get(&path(id)).await.expect(200).json()["status"], "discontinued");

    let before = service.stored().await;
    for body in [json!({"name": "Assam"}), json!({"status": "available"}), json!({"description": null})] {
        assert_eq!(service.change(id, &body).await.expect(409).problem(), "product-discontinued", "{body}");
    }
    service.change(id, &json!({"name": "Darjeeling First Flush"})).await.expect(200);
    assert_eq!(service.stored().await, before);
}

#[tokio::test]
async fn who_says_which_version_they_saw_discontinues_that_one_only() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let tag = service.tag(id).await;
    service.change(id, &json!({"price": {"amountMinor": 1, "currency": "EUR"}})).await.expect(200);
    let seen = async |tag: &str| {
        service.send(service.by_administrator(Method::DELETE, &path(id)).header("if-match", tag)).await
    };
    assert_eq!(seen(&tag).await.expect(412).problem(), "outdated");
    assert_eq!(service.get(&path(id)).await.json()["status"], "available");
    let tag = service.tag(id).await;
    seen(&tag).await.expect(204);
    // Whoever did not hear of it asks again.
    seen(&tag).await.expect(204);
    assert_eq!(service.event_types_of(id).await.len(), 3);
}

#[tokio::test]
async fn a_product_that_is_not_there_is_not_discontinued() {
    let service = Service::start().await;
    assert_eq!(service.discontinue(Uuid::new_v4()).await.expect(404).problem(), "no-such-product");
    let request = service.by_administrator(Method::DELETE, "/v1/products/TEA-0042");
    assert_eq!(service.send(request).await.expect(404).problem(), "no-such-product");
}
