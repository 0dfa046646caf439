//! How often anybody may ask.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use service::rate_limit::RateLimits;

use crate::world::{Issuer, Start, database};

#[tokio::test]
async fn each_user_may_ask_so_often_whatever_they_ask() {
    let (pool, issuer) = (database().await.pool, Issuer::start().await);
    let service = Start { pool, replica: None, issuer, limits: RateLimits::default() }.service().await;
    let (person, other) = (service.person().await, service.person().await);
    let begun = Instant::now();
    let (mut let_in, mut refusal) = (0, None);
    let paths = ["/v1/me/profile", "/v1/me/addresses", "/v1/admin/event-logs", "/v1/me/wishlist"];
    while refusal.is_none() {
        for answer in join_all(paths.iter().cycle().take(20).map(|path| service.get(&person, path))).await {
            match answer.status {
                429 => refusal = Some(answer),
                _ => let_in += 1,
            }
        }
        assert!(let_in < 10_000, "nobody is ever refused");
    }
    // As many as the rule lets in at once, and those that came back meanwhile where the machine is slow.
    let most = 120 + begun.elapsed().as_millis() / Duration::from_millis(100).as_millis();
    assert!((100..=most).contains(&let_in), "{let_in} of 120 to {most}");
    let refusal = refusal.unwrap();
    assert_eq!(
        (refusal.problem().as_str(), refusal.json()["violated-policies"].clone()),
        ("quota-exceeded", json!(["profiles-user"]))
    );
    service.get(&other, "/v1/me/profile").await.expect(200);
}
