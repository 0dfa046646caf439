use std::collections::BTreeSet;

use product_service::{Created, NewProduct, Store, create};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{Price, ProductStatus};
use service::http::TraceContext;
use time::Duration;
use uuid::Uuid;

use crate::Service;

async fn add(store: &Store, word: &str) -> Uuid {
    let new = NewProduct {
        sku: Uuid::new_v4().to_string().parse().unwrap(),
        name: format!("a thing of {word}").parse().unwrap(),
        description: None,
        price: Price { amount_minor: 1.try_into().unwrap(), currency: "EUR".parse().unwrap() },
        status: ProductStatus::Available,
    };
    match create(store, new, &TraceContext::start()).await.unwrap() {
        Created::Done(product) => product.product_id,
        Created::SkuTaken => panic!("a random SKU is taken"),
    }
}

/// Whatever is added meanwhile: newer products, as they are added; and such as take an older place, since their transaction
/// was slow or their clock was behind.
#[test]
fn pages_leave_nothing_out_and_show_nothing_twice_while_products_are_added() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(Service::start());
    // How many there are, how many a page has, what is added after each page and by which clock, whether it is a search.
    let additions = prop::collection::vec((0usize..3, -400i64..400), 0..8);
    let strategy = (0usize..25, 1u16..8, additions, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(there, limit, additions, searches)| {
        let word = Uuid::new_v4().simple().to_string();
        let (expected, seen) = runtime.block_on(async {
            if !searches {
                sqlx::query("TRUNCATE products").execute(&service.pool).await.unwrap();
            }
            let query = if searches { format!("q={word}&limit={limit}") } else { format!("limit={limit}") };
            let mut expected = BTreeSet::new();
            for _ in 0..there {
                expected.insert(add(&service.store, &word).await);
            }
            let (mut seen, mut cursor, mut additions) = (Vec::new(), String::new(), additions.into_iter());
            loop {
                let page = service.get(&format!("/v1/products?{query}{cursor}")).await.expect(200).json();
                let items = page["items"].as_array().unwrap();
                let ids = items.iter().map(|item| item["productId"].as_str().unwrap().parse::<Uuid>().unwrap());
                seen.extend(ids);
                if let Some((count, milliseconds)) = additions.next() {
                    service.clock.advance(Duration::milliseconds(milliseconds));
                    for _ in 0..count {
                        add(&service.store, &word).await;
                    }
                    service.clock.advance(Duration::milliseconds(-milliseconds));
                }
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            (expected, seen)
        });
        prop_assert!(seen.is_sorted_by(|one, next| one > next), "newest first, nothing twice: {seen:?}");
        let missed: Vec<_> = expected.iter().filter(|id| !seen.contains(id)).collect();
        prop_assert!(missed.is_empty(), "{missed:?} of {seen:?}");
        Ok(())
    });
    tested.unwrap();
}
