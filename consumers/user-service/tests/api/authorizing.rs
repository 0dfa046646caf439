//! Every route, asked by everybody.

use reqwest::Method;
use serde_json::{Value, json};
use service::{
    access_token::{Claims, SigningKey},
    rate_limit::RateLimits,
};
use time::Duration;
use uuid::Uuid;

use crate::{
    Service,
    described::Answer,
    world::{Issuer, Person, Start, card, database, home, sign, with},
};

/// Method, the path's template, and an example of the body.
type Route = (String, String, Option<Value>);

/// What somebody's own paths lead to.
struct Owned {
    address: String,
    payment_method: String,
    product: Uuid,
}

fn routes(service: &Service) -> Vec<Route> {
    let mut routes = Vec::new();
    for (template, item) in service.description.document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !operation["security"].is_array() {
                assert_eq!(template, "/openapi.json");
                continue;
            }
            let body = operation.pointer("/requestBody/content/application~1json/schema");
            let example = body.map(|schema| service.description.example(schema));
            routes.push((method.to_uppercase(), template.clone(), example));
        }
    }
    // What is removed can't be changed any more.
    routes.sort_by_key(|(method, ..)| method == "DELETE");
    assert_eq!(routes.len(), 19);
    routes
}

async fn owned(service: &Service, owner: &Person) -> Owned {
    let address = service.address(owner, &home()).await;
    let payment_method = service.payment_method(owner, &card()).await;
    let product = Uuid::new_v4();
    service.wish(owner, product).await.expect(201);
    Owned { address, payment_method, product }
}

async fn ask(service: &Service, route: &Route, owner: Uuid, paths: &Owned, token: Option<&str>) -> Answer {
    let (method, template, body) = route;
    let path = match template.as_str() {
        "/v1/me/addresses/{id}" => paths.address.clone(),
        "/v1/me/payment-methods/{id}" => paths.payment_method.clone(),
        "/v1/me/wishlist/{productId}" => template.replace("{productId}", &paths.product.to_string()),
        _ => template.replace("{id}", &owner.to_string()),
    };
    let mut request = service.request(method.parse().unwrap(), &path).header("if-match", "*");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if method == "POST" {
        request = request.header("idempotency-key", Uuid::new_v4().to_string());
    }
    service
        .send(match body {
            // What stands for a card is kept once, whoever shows it.
            Some(body) if template == "/v1/me/payment-methods" => {
                request.json(&with(body.clone(), "providerToken", card()["providerToken"].clone()))
            }
            Some(body) => request.json(body),
            None => request,
        })
        .await
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let service = Service::start().await;
    let owner = service.person().await;
    let paths = owned(&service, &owner).await;
    let (other, administrator) = (service.person().await, service.administrator().await);
    let revoked = service.person().await;
    service.revoke_sessions(revoked.id, 2).await;
    let demoted = service.administrator().await;
    service.set_roles(demoted.id, &["user"], 2).await;
    let (deactivated, erased) = (service.administrator().await, service.administrator().await);
    service.deactivate(deactivated.id).await;
    service.erase(erased.id).await;

    let now = service.clock.now().unix_timestamp();
    let of_owner = || service.claims(owner.id, &["user", "admin"]);
    let signed = |claims| sign(&service.issuer.key, &claims);
    let (stranger, _) = SigningKey::generate().unwrap();
    let refused = [
        ("nobody", None, 401, "unauthenticated"),
        (
            "an expired token",
            Some(signed(Claims { exp: now - 31, nbf: now - 700, iat: now - 700, ..of_owner() })),
            401,
            "unauthenticated",
        ),
        (
            "a token of another issuer",
            Some(signed(Claims { iss: "https://auth.example.org".to_owned(), ..of_owner() })),
            401,
            "unauthenticated",
        ),
        (
            "a token for another audience",
            Some(signed(Claims { aud: "shop".to_owned(), ..of_owner() })),
            401,
            "unauthenticated",
        ),
        ("a token by another key", Some(sign(&stranger, &of_owner())), 401, "unauthenticated"),
        ("a token whose version was revoked", Some(revoked.token.clone()), 401, "unauthenticated"),
        ("an administrator who was demoted", Some(demoted.token.clone()), 401, "unauthenticated"),
        ("a deactivated user", Some(deactivated.token.clone()), 403, "account-deactivated"),
        (
            "a deactivated user with a new token",
            Some(service.token(deactivated.id, &["admin"], 9)),
            403,
            "account-deactivated",
        ),
        ("an erased user", Some(erased.token.clone()), 410, "account-erased"),
        (
            "an erased user with the newest token",
            Some(service.token(erased.id, &["admin"], i64::MAX)),
            410,
            "account-erased",
        ),
    ];
    let routes = routes(&service);
    let before = service.written().await;
    for route in &routes {
        for (who, token, status, kind) in &refused {
            let answer = ask(&service, route, owner.id, &paths, token.as_deref()).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (*status, *kind),
                "{} {} by {who}",
                route.0,
                route.1
            );
        }
    }
    assert_eq!(service.written().await, before, "nobody who was refused changed anything");

    // Others get no further than to what is theirs.
    for route in &routes {
        let (method, template, _) = route;
        for (who, person) in [("another user", &other), ("an administrator", &administrator)] {
            let answer = ask(&service, route, owner.id, &paths, Some(&person.token)).await;
            let is_for_administrators = template.starts_with("/v1/admin/");
            let is_of_the_owner = template.ends_with("{id}") && !is_for_administrators;
            match (is_for_administrators, is_of_the_owner) {
                (true, _) if who == "another user" => {
                    assert_eq!(answer.expect(403).problem(), "forbidden", "{template}");
                }
                (_, true) => {
                    assert!(answer.expect(404).problem().starts_with("no-such-"), "{method} {template} by {who}");
                }
                _ => assert!(matches!(answer.status, 200..300), "{method} {template} by {who}: {answer:?}"),
            }
        }
    }
    let of_owner_alone = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter().filter(|row| row.contains(&owner.id.to_string())).collect()
    };
    assert_eq!(of_owner_alone(service.written().await), of_owner_alone(before), "what is the owner's is as it was");

    for route in &routes {
        let answer = ask(&service, route, owner.id, &paths, Some(&owner.token)).await;
        if route.1.starts_with("/v1/admin/") {
            assert_eq!(answer.expect(403).problem(), "forbidden", "{}", route.1);
        } else {
            assert!(matches!(answer.status, 200..300), "{} {}: {answer:?}", route.0, route.1);
        }
    }
}

/// Whoever is out of use or gone is told that, and nothing of what else they asked.
#[tokio::test]
async fn an_accounts_end_is_told_before_anything_else_of_a_request_is() {
    let service = Service::start().await;
    let (deactivated, erased) = (service.person().await, service.person().await);
    service.deactivate(deactivated.id).await;
    service.erase(erased.id).await;
    for (person, status) in [(&deactivated, 403), (&erased, 410)] {
        for request in [
            service.by(person, Method::POST, "/v1/me/addresses").body("nonsense"),
            service.by(person, Method::PATCH, "/v1/me/profile"),
            service.by(person, Method::DELETE, "/v1/me/addresses/nonsense"),
            service.by(person, Method::GET, "/v1/me/wishlist?limit=0"),
            service.by(person, Method::POST, "/v1/me/payment-methods").json(&json!({"x": "4111111111111111"})),
        ] {
            service.send(request).await.expect(status);
        }
    }
}

#[tokio::test]
async fn what_a_deactivated_user_kept_is_there_again_when_they_are() {
    let service = Service::start().await;
    let person = service.person().await;
    let address = service.address(&person, &home()).await;
    service.deactivate(person.id).await;
    assert_eq!(service.get(&person, &address).await.expect(403).problem(), "account-deactivated");
    service.reactivate(person.id).await;
    // The deactivation ended all tokens of before.
    service.get(&person, &address).await.expect(401);
    let again = Person { token: service.token(person.id, &["user"], 2), ..person };
    assert_eq!(service.get(&again, &address).await.expect(200).json()["line1"], home()["line1"]);
}

/// The end of one session alone is no event: its token is good until it expires.
#[tokio::test]
async fn a_token_is_good_for_ten_minutes_and_half_a_minute_between_clocks() {
    let service = Service::start().await;
    let person = service.person().await;
    service.clock.advance(Duration::minutes(10) + Duration::seconds(25));
    service.get(&person, "/v1/me/profile").await.expect(200);
    service.clock.advance(Duration::seconds(6));
    assert_eq!(service.get(&person, "/v1/me/profile").await.expect(401).problem(), "unauthenticated");
}

#[tokio::test]
async fn while_no_keys_were_read_nobody_is_let_in() {
    let pool = database().await.pool;
    let start = Start { pool, replica: None, issuer: Issuer::away(), limits: RateLimits::default() };
    let service = start.service().await;
    let person = service.stranger();
    assert_eq!(service.get(&person, "/v1/me/profile").await.expect(503).problem(), "unavailable");
}
