//! How often anybody may ask for what.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use service::rate_limit::RateLimits;

use crate::{
    Service, database,
    described::Answer,
    world::{Issuer, path},
};

/// The test is the service's proxy, and says where somebody is.
async fn limited() -> Service {
    let proxied = [("TRUSTED_PROXIES", "127.0.0.1")];
    Service::with(database().await.pool, Issuer::start().await, RateLimits::default(), &proxied).await
}

/// Asks until it is refused; answers how often it was not, and a refusal.
async fn until_refused(ask: impl AsyncFn() -> Answer) -> (usize, Answer) {
    let mut let_in = 0;
    for _ in 0..100 {
        for answer in join_all((0..20).map(|_| ask())).await {
            if answer.status == 429 {
                return (let_in, answer);
            }
            let_in += 1;
        }
    }
    panic!("nobody is ever refused");
}

/// As many as the rule lets in at once, and those that came back meanwhile where the machine is slow.
fn assert_let_in(let_in: usize, begun: Instant) {
    let most = 120 + (begun.elapsed().as_millis() / Duration::from_millis(100).as_millis()) as usize;
    assert!((100..=most).contains(&let_in), "{let_in} of 120 to {most}");
}

fn assert_refused_by(refusal: &Answer, rule: &str) {
    assert_eq!(refusal.problem(), "quota-exceeded");
    assert_eq!(refusal.json()["violated-policies"], json!([rule]));
    assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
}

#[tokio::test]
async fn each_network_may_read_so_often() {
    let service = limited().await;
    let id = service.product("T-1").await;
    let read = async |address: &str, path: &str| {
        service.send(service.request(Method::GET, path).header("x-forwarded-for", address)).await
    };
    let begun = Instant::now();
    let (let_in, refusal) = until_refused(async || read("10.0.0.1", "/v1/products").await).await;
    assert_let_in(let_in, begun);
    assert_refused_by(&refusal, "products-ip");
    // Both ways of reading are one limit; somebody else is not held back, and an administrator is counted by who they are.
    let (let_in, refusal) = until_refused(async || read("10.0.0.1", &path(id)).await).await;
    assert!(let_in < 100, "{let_in}");
    assert_refused_by(&refusal, "products-ip");
    read("10.0.9.1", "/v1/products").await.expect(200);
    let change = service.by_administrator(Method::DELETE, &path(id)).header("x-forwarded-for", "10.0.0.1");
    service.send(change).await.expect(204);
}

#[tokio::test]
async fn each_caller_may_change_so_often_whether_they_may_change_anything_or_not() {
    let service = limited().await;
    for roles in [&["admin"][..], &["user"]] {
        let token = service.token(roles);
        let begun = Instant::now();
        let ask = async || service.send(service.request(Method::DELETE, "/v1/products/none").bearer_auth(&token)).await;
        let (let_in, refusal) = until_refused(ask).await;
        assert_let_in(let_in, begun);
        assert_refused_by(&refusal, "products-user");
    }
    service.product("T-1").await;
}
