use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::{PASSWORD, Service, world::Person};

#[tokio::test]
async fn who_asks_has_to_say_so_by_one_good_token() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let me = |header: Option<String>| {
        let request = service.request(Method::GET, "/v1/me");
        service.send(match header {
            Some(header) => request.header("authorization", header),
            None => request,
        })
    };
    let answer = me(None).await.expect(401);
    assert_eq!((answer.problem().as_str(), answer.header("www-authenticate")), ("unauthenticated", Some("Bearer")));
    for header in ["Bearer hunter2", "Bearer eyJhbGciOiJub25lIn0.e30.", &format!("Bearer {}x", person.access)] {
        let answer = me(Some(header.to_owned())).await.expect(401);
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
        assert!(!answer.text.contains("hunter2"));
    }
    for header in [format!("Basic {}", person.access), person.access.clone(), format!("Bearer {}", person.refresh)] {
        me(Some(header)).await.expect(401);
    }
    me(Some(format!("bearer {}", person.access))).await.expect(200);
    service.clock.advance(Duration::minutes(10) + Duration::seconds(31));
    me(Some(format!("Bearer {}", person.access))).await.expect(401);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_nobody_ends_anothers() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let other = service.again(&person).await;
    let stranger = service.person("bob@example.com").await;
    let list = service.by(&person, Method::GET, "/v1/me/sessions", None).await.expect(200).json();
    let items = list["items"].as_array().unwrap();
    let seen: Vec<_> =
        items.iter().map(|item| (item["id"].as_str().unwrap().to_owned(), item["current"] == true)).collect();
    assert_eq!(seen, [(other.session.to_string(), false), (person.session.to_string(), true)]);
    assert_eq!(items[0]["ip"], "127.0.0.1");

    let path = |person: &Person| format!("/v1/me/sessions/{}", person.session);
    let anothers = service.by(&stranger, Method::DELETE, &path(&person), None).await.expect(404);
    assert_eq!(anothers.problem(), "no-such-session");
    service.by(&person, Method::DELETE, &path(&other), None).await.expect(204);
    service.by(&person, Method::DELETE, &path(&other), None).await.expect(404);
    service.by(&other, Method::GET, "/v1/me", None).await.expect(401);
    service.refresh(&other.refresh).await.expect(401);
    let list = service.by(&person, Method::GET, "/v1/me/sessions", None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // One that ended by itself is not open any more either.
    service.clock.advance(Duration::days(15));
    let back = service.again(&person).await;
    let list = service.by(&back, Method::GET, "/v1/me/sessions", None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_can_not_be_undone_needs_a_password_that_was_proved_just_now() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    service.clock.advance(Duration::minutes(5) + Duration::seconds(1));
    let body = json!({"email": "new@example.com"});
    for (method, path, body) in [
        (Method::POST, "/v1/me/email", Some(&body)),
        (Method::POST, "/v1/me/deactivate", None),
        (Method::DELETE, "/v1/me", None),
    ] {
        let answer = service.by(&person, method.clone(), path, body).await.expect(403);
        assert_eq!(answer.problem(), "reauthentication-required");
        // A refreshed token proves no password.
        let refreshed = service.refresh(&service.again(&person).await.refresh).await.json();
        assert!(refreshed["accessToken"].is_string());
    }
    let body = service.refresh(&person.refresh).await.expect(200).json();
    let refreshed = Person::from(person.id, &person.email, &body);
    service.by(&refreshed, Method::DELETE, "/v1/me", None).await.expect(403);
    let again = service.again(&person).await;
    service.by(&again, Method::DELETE, "/v1/me", None).await.expect(202);
}

#[tokio::test]
async fn an_account_that_its_owner_takes_out_of_use_comes_back_by_an_administrator_only() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    service.post("/v1/auth/password/forgot", &json!({"email": "ada@example.com"})).await.expect(202);
    let reset = service.mailed_token("ada@example.com").await;
    service.by(&person, Method::POST, "/v1/me/deactivate", None).await.expect(204);
    let (event_type, data) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!(event_type, "user.deactivated");
    assert_eq!((&data["reason"], &data["status"]), (&json!("own-request"), &json!("deactivated")));
    assert_eq!(data["minTokenVersion"], 2);

    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    service.refresh(&person.refresh).await.expect(401);
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    let late = json!({"token": reset, "password": "she hums along to trams"});
    service.post("/v1/auth/password/reset", &late).await.expect(400);
    service.clock.advance(Duration::minutes(2));
    let mails = service.mailed_tokens("ada@example.com").await.len();
    service.post("/v1/auth/password/forgot", &json!({"email": "ada@example.com"})).await.expect(202);
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), mails, "no mail while it is out of use");

    let path = format!("/v1/admin/users/{}/reactivate", person.id);
    for _ in 0..2 {
        service.by(&admin, Method::POST, &path, None).await.expect(204);
    }
    let types = service.event_types_of(person.id).await;
    assert_eq!(types.iter().filter(|kind| *kind == "user.reactivated").count(), 1, "{types:?}");
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
}
