//! A user whose `user.created` is still on its way.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Service,
    world::{EMAIL, card, home},
};

#[tokio::test]
async fn a_user_of_whom_nothing_was_heard_has_a_profile_that_says_so() {
    let service = Service::start().await;
    let person = service.stranger();
    let profile = service.get(&person, "/v1/me/profile").await.expect(200);
    let expected = json!({
        "userId": person.id, "profileState": "pending", "email": null, "emailVerified": false, "displayName": null,
        "roles": [], "registeredAt": null,
    });
    assert_eq!(profile.json(), expected);
    for list in ["addresses", "payment-methods", "wishlist"] {
        let page = service.get(&person, &format!("/v1/me/{list}")).await.expect(200).json();
        assert_eq!(page, json!({"items": [], "next": null}), "{list}");
    }
    service.get(&person, "/v1/me/preferences").await.expect(200);
    assert!(service.written().await.is_empty(), "reading writes nothing");

    service.create(person.id).await;
    let profile = service.get(&person, "/v1/me/profile").await.expect(200).json();
    assert_eq!((&profile["profileState"], &profile["email"]), (&json!("ready"), &json!(EMAIL)));
    assert_eq!((&profile["displayName"], &profile["roles"]), (&json!("Ada Lovelace"), &json!(["user"])));
    assert_eq!((&profile["emailVerified"], profile["registeredAt"].is_string()), (&json!(true), true));
}

/// Another event may come first, and says nothing of the registration.
#[tokio::test]
async fn a_row_that_no_registration_filled_is_pending_and_shows_what_is_known() {
    let service = Service::start().await;
    let person = service.stranger();
    service.set_roles(person.id, &["user", "editor"], 1).await;
    let profile = service.get(&person, "/v1/me/profile").await.expect(200).json();
    assert_eq!((&profile["profileState"], &profile["roles"]), (&json!("pending"), &json!(["editor", "user"])));
}

#[tokio::test]
async fn what_a_pending_user_writes_is_kept_when_their_events_come() {
    let service = Service::start().await;
    let (person, product) = (service.stranger(), Uuid::new_v4());
    let address = service.address(&person, &home()).await;
    let method = service.payment_method(&person, &card()).await;
    service.wish(&person, product).await.expect(201);
    let preferences = json!({
        "locale": "de", "currency": "CHF", "timeZone": "Europe/Zurich", "marketingEmails": true, "priceDropEmails": true,
    });
    service.change(&person, Method::PUT, "/v1/me/preferences", "\"0\"", &preferences).await.expect(200);
    let tag = service.get(&person, "/v1/me/profile").await.header("etag").unwrap().to_owned();
    let name = json!({"displayName": "Countess"});
    service.change(&person, Method::PATCH, "/v1/me/profile", &tag, &name).await.expect(200);
    let before = service.written().await;

    service.create(person.id).await;
    let profile = service.get(&person, "/v1/me/profile").await.expect(200).json();
    assert_eq!((&profile["profileState"], &profile["displayName"]), (&json!("ready"), &json!("Countess")));
    assert_eq!(profile["email"], EMAIL);
    for path in [&address, &method] {
        service.get(&person, path).await.expect(200);
    }
    assert_eq!(service.get(&person, "/v1/me/preferences").await.json(), preferences);
    assert_eq!(service.get(&person, "/v1/me/wishlist").await.json()["items"][0]["productId"], json!(product));
    let others =
        |rows: Vec<String>| rows.into_iter().filter(|row| !row.starts_with("user_profiles")).collect::<Vec<_>>();
    assert_eq!(others(service.written().await), others(before));
}

#[tokio::test]
async fn a_pending_user_who_took_their_name_away_has_none_when_the_registration_says_one() {
    let service = Service::start().await;
    let person = service.stranger();
    let name = json!({"displayName": null});
    service.change(&person, Method::PATCH, "/v1/me/profile", "\"0\"", &name).await.expect(200);
    service.create(person.id).await;
    assert_eq!(service.get(&person, "/v1/me/profile").await.json()["displayName"], Value::Null);
}

/// Both make the row, and either may be first.
#[tokio::test]
async fn a_first_write_and_the_registration_at_the_same_moment_are_both_kept() {
    let service = Service::start().await;
    for _ in 0..10 {
        let (person, home) = (service.stranger(), home());
        let (address, ()) = tokio::join!(service.address(&person, &home), service.create(person.id));
        service.get(&person, &address).await.expect(200);
        assert_eq!(service.get(&person, "/v1/me/profile").await.json()["profileState"], "ready");
    }
}
