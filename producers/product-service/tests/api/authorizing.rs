//! Every route, asked by everybody.

use schemas::Clock;
use serde_json::Value;
use service::{
    access_token::{Claims, SigningKey},
    rate_limit::RateLimits,
};
use time::Duration;
use uuid::Uuid;

use crate::{
    Service, database,
    described::{Answer, Description},
    world::{Issuer, path, sign, tea},
};

/// Method, path with this id, whether an access token is needed, and an example of the body.
type Route = (String, String, bool, Option<Value>);

fn routes(description: &Description, id: Uuid) -> Vec<Route> {
    let mut routes = Vec::new();
    for (template, item) in description.document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = operation.pointer("/requestBody/content/application~1json/schema");
            let example = body.map(|schema| description.example(schema));
            let path = template.replace("{id}", &id.to_string());
            routes.push((method.to_uppercase(), path, operation["security"].is_array(), example));
        }
    }
    // What is discontinued can't be changed any more.
    routes.sort_by_key(|(method, ..)| method == "DELETE");
    routes
}

async fn ask(service: &Service, (method, path, _, body): &Route, token: Option<&str>) -> Answer {
    let mut request = service.request(method.parse().unwrap(), path).header("if-match", "*");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    service
        .send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let service = Service::start().await;
    let id = service.product("T-1").await;
    let routes = routes(&service.description, id);
    assert_eq!(routes.iter().filter(|(_, _, needs_token, _)| *needs_token).count(), 3);
    assert_eq!(routes.len(), 6);

    let admin = || service.claims(&["user", "admin"]);
    let signed = |claims| sign(&service.issuer.key, &claims);
    let now = Clock::system().now().unix_timestamp();
    let (stranger, _) = SigningKey::generate().unwrap();
    let expired = signed(Claims { exp: now - 31, nbf: now - 700, iat: now - 700, ..admin() });
    let early = signed(Claims { nbf: now + 60, iat: now + 60, ..admin() });
    let of_another_issuer = signed(Claims { iss: "https://auth.example.org".to_owned(), ..admin() });
    let for_another = signed(Claims { aud: "shop".to_owned(), ..admin() });
    let by_another_key = sign(&stranger, &admin());
    let refused = [
        ("nobody", None, 401),
        ("a user", Some(service.token(&["user"])), 403),
        ("somebody without roles", Some(service.token(&[])), 403),
        ("somebody with a role of a similar name", Some(service.token(&["Admin", "administrator"])), 403),
        ("an expired token", Some(expired), 401),
        ("a token that is not good yet", Some(early), 401),
        ("a token of another issuer", Some(of_another_issuer), 401),
        ("a token for another audience", Some(for_another), 401),
        ("a token by another key", Some(by_another_key), 401),
        ("no token at all", Some("nonsense".to_owned()), 401),
    ];
    let before = service.stored().await;
    for route in &routes {
        let (method, path, needs_token, _) = route;
        for (who, token, status) in &refused {
            let answer = ask(&service, route, token.as_deref()).await;
            if *needs_token {
                let kind = if *status == 401 { "unauthenticated" } else { "forbidden" };
                assert_eq!((answer.status, answer.problem().as_str()), (*status, kind), "{method} {path} by {who}");
            } else {
                assert_eq!(answer.status, 200, "{method} {path} by {who}");
            }
        }
    }
    assert_eq!(service.stored().await, before, "nobody who was refused changed anything");
    for route in &routes {
        let answer = ask(&service, route, Some(&service.administrator)).await;
        assert!(matches!(answer.status, 200..300), "{} {}: {answer:?}", route.0, route.1);
    }
    let body = service.get(&path(id)).await.json();
    assert_eq!(body["status"], "discontinued", "{body}");
}

/// What an administrator was, auth-service says in the token; that they are none any more is heard when it has run out.
#[tokio::test]
async fn an_administrators_token_is_good_until_it_expires() {
    let service = Service::start().await;
    service.clock.advance(Duration::minutes(10) + Duration::seconds(25));
    service.create(&tea("T-1")).await.expect(201);
    service.clock.advance(Duration::seconds(6));
    service.create(&tea("T-2")).await.expect(401);
    assert_eq!(service.stored().await.0.len(), 1);
}

#[tokio::test]
async fn while_no_keys_were_read_everybody_reads_and_nobody_changes_anything() {
    let service = Service::with(database().await.pool, Issuer::away(), RateLimits::default(), &[]).await;
    assert_eq!(service.create(&tea("T-1")).await.expect(503).problem(), "unavailable");
    service.get("/v1/products").await.expect(200);
    assert_eq!(service.stored().await, (vec![], 0));
}
