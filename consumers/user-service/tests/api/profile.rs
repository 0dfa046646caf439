use reqwest::Method;
use serde_json::{Value, json};

use crate::{Service, described::Answer, world::Person};

const PATH: &str = "/v1/me/profile";

async fn tag(service: &Service, person: &Person) -> String {
    service.get(person, PATH).await.expect(200).header("etag").unwrap().to_owned()
}

async fn rename(service: &Service, person: &Person, seen: &str, name: &Value) -> Answer {
    service.change(person, Method::PATCH, PATH, seen, &json!({"displayName": name})).await
}

#[tokio::test]
async fn a_user_is_called_what_they_say_and_no_event_says_otherwise() {
    let service = Service::start().await;
    let person = service.person().await;
    for name in [json!("Countess"), Value::Null, json!("Ада")] {
        let seen = tag(&service, &person).await;
        let answer = rename(&service, &person, &seen, &name).await.expect(200);
        assert_eq!(answer.json()["displayName"], name);
        let read = service.get(&person, PATH).await;
        assert_eq!((read.json(), read.header("etag")), (answer.json(), answer.header("etag")));
        service.set_roles(person.id, &["user"], 1).await;
        assert_eq!(service.get(&person, PATH).await.json()["displayName"], name);
    }
}

#[tokio::test]
async fn whatever_changes_a_profile_makes_another_version_of_it() {
    let service = Service::start().await;
    let person = service.stranger();
    let mut seen = vec![tag(&service, &person).await];
    service.set_roles(person.id, &["user"], 1).await;
    seen.push(tag(&service, &person).await);
    service.create(person.id).await;
    seen.push(tag(&service, &person).await);
    rename(&service, &person, &seen[2], &json!("Countess")).await.expect(200);
    seen.push(tag(&service, &person).await);
    service.set_roles(person.id, &["user", "editor"], 1).await;
    seen.push(tag(&service, &person).await);
    for (place, version) in seen.iter().enumerate() {
        assert!(!seen[..place].contains(version), "{seen:?}");
    }
    // Nothing of it is shown, so its version stays.
    service.revoke_sessions(person.id, 2).await;
    let again = Person { token: service.token(person.id, &["user"], 2), ..person };
    assert_eq!(tag(&service, &again).await, seen[4]);
}

#[tokio::test]
async fn of_two_who_saw_the_same_profile_exactly_one_changes_it() {
    let service = Service::start().await;
    let person = service.person().await;
    let seen = tag(&service, &person).await;
    let names: Vec<_> = (0..8).map(|n| json!(format!("Name {n}"))).collect();
    let writers = names.iter().map(|name| rename(&service, &person, &seen, name));
    let answers = service.at_once(&person, writers).await;
    let (changed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(changed.len(), 1);
    for answer in refused {
        assert_eq!(answer.expect(412).problem(), "outdated");
    }
    assert_eq!(service.get(&person, PATH).await.json(), changed[0].json());
}

#[tokio::test]
async fn who_does_not_say_which_version_they_saw_changes_nothing() {
    let service = Service::start().await;
    let person = service.person().await;
    let (before, seen) = (service.written().await, tag(&service, &person).await);
    let body = json!({"displayName": "Countess"});
    let answer = service.send(service.by(&person, Method::PATCH, PATH).json(&body)).await;
    assert_eq!(answer.expect(428).problem(), "if-match-required");
    let weak = format!("W/{seen}");
    for wrong in ["\"1\"", weak.as_str(), "nonsense", ""] {
        let answer = rename(&service, &person, wrong, &json!("Countess")).await;
        assert_eq!(answer.expect(412).problem(), "outdated", "{wrong}");
    }
    assert_eq!(service.written().await, before);
    rename(&service, &person, "*", &json!("Countess")).await.expect(200);
    rename(&service, &person, &seen, &json!("Ada")).await.expect(412);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_none() {
    let service = Service::start().await;
    let person = service.person().await;
    rename(&service, &person, "*", &json!("Countess")).await.expect(200);
    let (before, seen) = (service.written().await, tag(&service, &person).await);
    for body in [json!({}), json!({"displayName": "Countess"})] {
        let answer = service.change(&person, Method::PATCH, PATH, &seen, &body).await.expect(200);
        assert_eq!(answer.header("etag"), Some(seen.as_str()), "{body}");
    }
    assert_eq!(service.written().await, before);
}

#[tokio::test]
async fn what_is_no_name_is_refused_by_its_field() {
    let service = Service::start().await;
    let person = service.person().await;
    let before = service.written().await;
    for (body, at) in [
        (json!({"displayName": ""}), "displayName"),
        (json!({"displayName": "a\nb"}), "displayName"),
        (json!({"displayName": "x".repeat(101)}), "displayName"),
        (json!({"displayName": 7}), "displayName"),
        (json!({"displayName": "4111 1111 1111 1111"}), "displayName"),
        (json!({"email": "eve@example.com"}), "email"),
        (json!({"roles": ["admin"]}), "roles"),
        (json!({"userId": person.id}), "userId"),
    ] {
        let answer = service.change(&person, Method::PATCH, PATH, "*", &body).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], at, "{body}: {}", answer.text);
    }
    assert_eq!(service.written().await, before);
}
