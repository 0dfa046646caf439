//! What is read from the replica, and what is not: here it is another database, which shows what came from where.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{
    Service,
    world::{Person, Start, card, database, home, with},
};

/// A service whose replica has heard of nothing that its primary has, and a service on the replica alone.
async fn services() -> (Service, Service) {
    let (primary, replica) = (database().await.pool, database().await.pool);
    let with_replica = Start { replica: Some(replica.clone()), ..Start::over(primary).await }.service().await;
    let behind = Start { issuer: with_replica.issuer.clone(), ..Start::over(replica).await }.service().await;
    (with_replica, behind)
}

#[tokio::test]
async fn lists_are_read_from_the_replica() {
    let (service, behind) = services().await;
    let administrator = service.administrator().await;
    behind.create(administrator.id).await;
    let (old, new) = (with(home(), "city", json!("Old")), with(home(), "city", json!("New")));
    behind.address(&administrator, &old).await;
    service.address(&administrator, &new).await;
    let (old, new) = (with(card(), "last4", json!("1111")), with(card(), "last4", json!("2222")));
    behind.payment_method(&administrator, &old).await;
    service.payment_method(&administrator, &new).await;
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    behind.wish(&administrator, old).await.expect(201);
    service.wish(&administrator, new).await.expect(201);
    let first = async |path: &str| service.get(&administrator, path).await.expect(200).json()["items"][0].clone();
    assert_eq!(first("/v1/me/addresses").await["city"], "Old");
    assert_eq!(first("/v1/me/payment-methods").await["last4"], "1111");
    assert_eq!(first("/v1/me/wishlist").await["productId"], json!(old));
    let only_there = service.person().await;
    let page = service.get(&administrator, &format!("/v1/admin/event-logs?subject={}", only_there.id)).await;
    assert_eq!(page.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn status_and_whatever_is_changed_next_are_never_read_from_the_replica() {
    let (service, behind) = services().await;
    let administrator = service.administrator().await;
    let person = service.person().await;
    behind.create(person.id).await;
    let profile = service.get(&person, "/v1/me/profile").await.expect(200);
    service.change(&person, Method::PATCH, "/v1/me/profile", "*", &json!({"displayName": "New"})).await.expect(200);
    assert_ne!(service.get(&person, "/v1/me/profile").await.json(), profile.json());
    let address = service.address(&person, &home()).await;
    let method = service.payment_method(&person, &card()).await;
    for path in [&address, &method] {
        service.get(&person, path).await.expect(200);
    }
    let user = service.get(&administrator, &format!("/v1/admin/users/{}", person.id)).await.expect(200).json();
    assert_eq!((&user["displayName"], &user["counts"]["addresses"]), (&json!("New"), &json!(1)));

    // Of all this, the replica has heard nothing; and of the opposite, which the primary has not.
    let (revoked, deactivated, erased) = (service.person().await, service.person().await, service.person().await);
    for person in [&revoked, &deactivated, &erased] {
        behind.create(person.id).await;
    }
    service.revoke_sessions(revoked.id, 2).await;
    service.deactivate(deactivated.id).await;
    service.erase(erased.id).await;
    let fine = service.person().await;
    behind.erase(fine.id).await;
    let ask = async |person: &Person, path: &str| service.get(person, path).await.status;
    for path in ["/v1/me/profile", "/v1/me/addresses", "/v1/me/wishlist", "/v1/me/preferences"] {
        let statuses = [
            ask(&revoked, path).await,
            ask(&deactivated, path).await,
            ask(&erased, path).await,
            ask(&fine, path).await,
        ];
        assert_eq!(statuses, [401, 403, 410, 200], "{path}");
    }
}

#[tokio::test]
async fn while_the_replica_is_away_lists_are_read_from_the_primary() {
    let (primary, replica) = (database().await.pool, database().await);
    let service = Start { replica: Some(replica.pool.clone()), ..Start::over(primary).await }.service().await;
    let person = service.person().await;
    service.address(&person, &home()).await;
    let cities =
        async || service.get(&person, "/v1/me/addresses").await.expect(200).json()["items"].as_array().unwrap().len();
    assert_eq!(cities().await, 0);
    replica.take_down().await;
    fixtures::eventually("the primary is read", async || (cities().await == 1).then_some(())).await;
    let ready = service.client.get(format!("{}/readyz", service.internal_url)).send().await.unwrap();
    let ready: serde_json::Value = ready.json().await.unwrap();
    let check = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "replica").unwrap();
    assert_eq!((&check["status"], ready["status"] != json!("down")), (&json!("degraded"), true), "{ready}");
    replica.bring_back().await;
    fixtures::eventually("the replica is read again", async || (cities().await == 0).then_some(())).await;
}
