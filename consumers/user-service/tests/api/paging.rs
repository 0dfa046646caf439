//! Pages leave nothing out and show nothing twice, whatever is added and removed meanwhile.

use std::collections::BTreeSet;

use serde_json::Value;
use time::Duration;
use uuid::Uuid;

use crate::{
    Service,
    described::Answer,
    world::{Person, card, home},
};

/// Ids of a list, page by page; `meanwhile` happens between them.
async fn pages(
    service: &Service,
    person: &Person,
    path: &str,
    id: &str,
    meanwhile: impl AsyncFn(usize),
) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(person, &format!("{path}?limit=3{cursor}")).await.expect(200).json();
        let items = page["items"].as_array().unwrap().iter();
        pages.push(items.map(|item| item[id].as_str().unwrap().to_owned()).collect());
        let Some(next) = page["next"].as_str() else { return pages };
        cursor = format!("&cursor={next}");
        meanwhile(pages.len()).await;
    }
}

async fn show_each_once(path: &str, id: &str, add: impl AsyncFn(&Service, &Person) -> String) {
    let service = Service::start().await;
    let (person, other) = (service.person().await, service.person().await);
    let mut added = Vec::new();
    for _ in 0..8 {
        service.clock.advance(Duration::milliseconds(2));
        added.push(add(&service, &person).await);
        add(&service, &other).await;
    }
    added.reverse();
    let whole = pages(&service, &person, path, id, async |_| {}).await;
    assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2]);
    assert_eq!(whole.concat(), added, "newest first");
    // The last of a page, after which the next one begins, is gone; and something newer is there.
    let seen = pages(&service, &person, path, id, async |page| {
        let last = &added[3 * page - 1];
        service.delete(&person, &format!("{path}/{last}")).await.expect(204);
        add(&service, &person).await;
    })
    .await
    .concat();
    assert_eq!(seen, added);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn pages_of_addresses_show_each_once() {
    show_each_once("/v1/me/addresses", "addressId", async |service, person| {
        last_part(&service.address(person, &home()).await)
    })
    .await;
}

#[tokio::test]
async fn pages_of_payment_methods_show_each_once() {
    show_each_once("/v1/me/payment-methods", "paymentMethodId", async |service, person| {
        last_part(&service.payment_method(person, &card()).await)
    })
    .await;
}

#[tokio::test]
async fn pages_of_a_wishlist_show_each_once() {
    show_each_once("/v1/me/wishlist", "productId", async |service, person| {
        let product = Uuid::new_v4();
        service.wish(person, product).await.expect(201);
        product.to_string()
    })
    .await;
}

/// As after an import: they are told apart by their products.
#[tokio::test]
async fn items_of_the_same_moment_are_shown_once_as_well() {
    let service = Service::start().await;
    let person = service.person().await;
    let rows = "SELECT '2026-11-26', gen_random_uuid() FROM generate_series(1, 10)";
    service
        .execute(&format!(
            "INSERT INTO wishlist_items (user_id, added_at, product_id)
             SELECT '{}', added_at::timestamptz, product_id FROM ({rows}) AS rows (added_at, product_id)",
            person.id
        ))
        .await;
    let seen = pages(&service, &person, "/v1/me/wishlist", "productId", async |_| {}).await.concat();
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (10, 10));
}

#[tokio::test]
async fn what_is_no_page_is_refused_by_its_parameter() {
    let service = Service::start().await;
    let administrator = service.administrator().await;
    let refused = async |path: &str, query: &str| -> Answer {
        service.get(&administrator, &format!("{path}?{query}")).await.expect(422)
    };
    for path in ["/v1/me/addresses", "/v1/me/payment-methods", "/v1/me/wishlist", "/v1/admin/event-logs"] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("cursor=x", "cursor"),
            ("page=2", "page"),
        ] {
            let answer = refused(path, query).await;
            assert_eq!(answer.json()["errors"][0]["field"], Value::from(field), "{path}?{query}: {}", answer.text);
        }
    }
}
