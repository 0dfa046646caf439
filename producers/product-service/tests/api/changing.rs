use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Service, world::path};

#[tokio::test]
async fn a_change_is_told_by_what_changed() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let told_by = async |body: Value| {
        let before = service.event_types_of(id).await.len();
        let answer = service.change(id, &body).await.expect(200);
        assert_eq!(service.get(&path(id)).await.json(), answer.json());
        let told = service.event_types_of(id).await;
        (answer.json(), told[before..].join(" "))
    };
    let (body, told) = told_by(json!({"name": "Assam", "status": "unavailable"})).await;
    assert_eq!(
        (&body["name"], &body["status"], told.as_str()),
        (&json!("Assam"), &json!("unavailable"), "product.updated")
    );
    let (body, told) = told_by(json!({"price": {"amountMinor": 2499, "currency": "EUR"}})).await;
    assert_eq!((&body["price"]["amountMinor"], told.as_str()), (&json!(2499), "product.price.changed"));
    let (body, told) = told_by(json!({"price": {"amountMinor": 2499, "currency": "USD"}})).await;
    assert_eq!((&body["price"]["currency"], told.as_str()), (&json!("USD"), "product.price.changed"));
    let both = json!({"description": null, "price": {"amountMinor": 1, "currency": "USD"}, "status": "available"});
    let (body, told) = told_by(both).await;
    assert_eq!((&body["description"], told.as_str()), (&Value::Null, "product.updated product.price.changed"));
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_none() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let (before, tag) = (service.stored().await, service.tag(id).await);
    let so_already = json!({"name": "Darjeeling First Flush", "price": {"amountMinor": 1999, "currency": "EUR"}});
    for body in [json!({}), so_already, json!({"status": "available", "description": "Hand-picked, 100 g"})] {
        let answer = service.change_seen(id, &tag, &body).await.expect(200);
        assert_eq!(answer.header("etag"), Some(tag.as_str()), "{body}");
    }
    assert_eq!(service.stored().await, before);
}

#[tokio::test]
async fn of_two_who_saw_the_same_version_exactly_one_changes_it() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let tag = service.tag(id).await;
    let bodies: Vec<_> = (0..8).map(|n| json!({"name": format!("Tea of writer {n}")})).collect();
    // Somebody has the row in hand until all of them have come to it.
    let mut somebody = service.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM products WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *somebody).await.unwrap();
    let all_wait = async {
        fixtures::eventually("all writers wait", async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&service.pool).await.unwrap();
            (waiting == bodies.len() as i64).then_some(())
        })
        .await;
        somebody.rollback().await.unwrap();
    };
    let writers = join_all(bodies.iter().map(|body| service.change_seen(id, &tag, body)));
    let (answers, ()) = tokio::join!(writers, all_wait);
    let (changed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(changed.len(), 1);
    for answer in refused {
        assert_eq!(answer.expect(412).problem(), "outdated");
    }
    assert_eq!(service.get(&path(id)).await.json(), changed[0].json());
    assert_eq!(service.event_types_of(id).await, ["product.created", "product.updated"]);
}

#[tokio::test]
async fn who_does_not_say_which_version_they_saw_changes_nothing() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let (before, tag) = (service.stored().await, service.tag(id).await);
    let body = json!({"name": "Assam"});
    let answer = service.send(service.by_administrator(Method::PATCH, &path(id)).json(&body)).await;
    assert_eq!(answer.expect(428).problem(), "if-match-required");
    let weak = format!("W/{tag}");
    for wrong in ["\"1\"", weak.as_str(), tag.trim_matches('"'), "nonsense", ""] {
        assert_eq!(service.change_seen(id, wrong, &body).await.expect(412).problem(), "outdated", "{wrong}");
    }
    assert_eq!(service.stored().await, before);
    service.change_seen(id, "*", &body).await.expect(200);
    service.change_seen(id, &tag, &json!({"name": "Ceylon"})).await.expect(412);
}

#[tokio::test]
async fn what_can_not_be_changed_is_refused_by_its_field() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let before = service.stored().await;
    for (body, at) in [
        (json!({"name": null}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"price": null}), "price"),
        (json!({"price": {"amountMinor": 1}}), "price.currency"),
        (json!({"status": "discontinued"}), "status"),
        (json!({"sku": "TEA-0043"}), "sku"),
        (json!({"description": ""}), "description"),
    ] {
        let answer = service.change(id, &body).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], at, "{body}: {}", answer.text);
    }
    assert_eq!(service.stored().await, before);
}

#[tokio::test]
async fn a_product_that_is_not_there_is_not_changed() {
    let service = Service::start().await;
    for id in [Uuid::new_v4().to_string(), "x".to_owned(), "0".repeat(500)] {
        let request = service.by_administrator(Method::PATCH, &format!("/v1/products/{id}")).header("if-match", "*");
        let answer = service.send(request.json(&json!({"name": "Assam"}))).await.expect(404);
        assert_eq!(answer.problem(), "no-such-product", "{id}");
    }
    assert_eq!(service.stored().await, (vec![], 0));
}
