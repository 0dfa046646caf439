use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Service,
    world::{Person, home, with},
};

const PATH: &str = "/v1/me/addresses";

/// Which addresses are defaults: for shipping, for billing.
async fn defaults(service: &Service, person: &Person) -> (Vec<String>, Vec<String>) {
    let page = service.get(person, PATH).await.expect(200).json();
    let of = |field: &str| -> Vec<String> {
        let defaults = page["items"].as_array().unwrap().iter().filter(|item| item[field] == json!(true));
        defaults.map(|item| format!("{PATH}/{}", item["addressId"].as_str().unwrap())).collect()
    };
    (of("isDefaultShipping"), of("isDefaultBilling"))
}

#[tokio::test]
async fn an_address_is_added_read_changed_and_removed() {
    let service = Service::start().await;
    let person = service.person().await;
    let added = service.post(&person, PATH, &home()).await.expect(201);
    let path = added.header("location").unwrap().to_owned();
    let read = service.get(&person, &path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (added.json(), Some("\"1\"")));
    for (field, value) in home().as_object().unwrap() {
        assert_eq!(&read.json()[field], value, "{field}");
    }
    let change = json!({"line2": null, "city": "Potsdam", "isDefaultBilling": true});
    let changed = service.change(&person, Method::PATCH, &path, "\"1\"", &change).await.expect(200);
    let body = changed.json();
    assert_eq!(
        (&body["line2"], &body["city"], changed.header("etag")),
        (&Value::Null, &json!("Potsdam"), Some("\"2\""))
    );
    assert_eq!((&body["line1"], &body["phone"]), (&home()["line1"], &home()["phone"]));
    assert_eq!(service.get(&person, PATH).await.json()["items"], json!([body]));
    service.delete(&person, &path).await.expect(204);
    for answer in [service.get(&person, &path).await, service.delete(&person, &path).await] {
        assert_eq!(answer.expect(404).problem(), "no-such-address");
    }
}

#[tokio::test]
async fn an_address_may_be_without_what_not_every_country_has() {
    let service = Service::start().await;
    let person = service.person().await;
    let least = json!({"recipient": "A", "line1": "1", "city": "Hong Kong", "country": "HK"});
    let body = service.post(&person, PATH, &least).await.expect(201).json();
    assert!(["line2", "region", "postalCode", "phone"].iter().all(|field| body[*field].is_null()), "{body}");
    assert_eq!((&body["isDefaultShipping"], &body["isDefaultBilling"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn who_makes_another_address_the_default_takes_it_from_the_one_before() {
    let service = Service::start().await;
    let person = service.person().await;
    let both = with(with(home(), "isDefaultShipping", json!(true)), "isDefaultBilling", json!(true));
    let first = service.address(&person, &both).await;
    let second = service.address(&person, &with(home(), "isDefaultShipping", json!(true))).await;
    assert_eq!(defaults(&service, &person).await, (vec![second.clone()], vec![first.clone()]));
    // It was changed by that, and who saw it before is told so.
    let change = json!({"isDefaultShipping": true});
    service.change(&person, Method::PATCH, &first, "\"1\"", &change).await.expect(412);
    service.change(&person, Method::PATCH, &first, "\"2\"", &change).await.expect(200);
    assert_eq!(defaults(&service, &person).await, (vec![first.clone()], vec![first.clone()]));
    service.delete(&person, &first).await.expect(204);
    assert_eq!(defaults(&service, &person).await, (vec![], vec![]));
}

#[tokio::test]
async fn however_many_at_once_there_is_one_default_of_each_kind() {
    let service = Service::start().await;
    let (person, other) = (service.person().await, service.person().await);
    let both = with(with(home(), "isDefaultShipping", json!(true)), "isDefaultBilling", json!(true));
    let others = service.address(&other, &both).await;
    let mut paths = join_all((0..6).map(|_| service.address(&person, &both))).await;
    assert_eq!(service.get(&person, PATH).await.json()["items"].as_array().unwrap().len(), 6);
    let change = json!({"isDefaultShipping": true, "isDefaultBilling": true});
    let changes = paths.iter().map(|path| service.change(&person, Method::PATCH, path, "*", &change));
    for answer in service.at_once(&person, changes).await {
        answer.expect(200);
    }
    let (shipping, billing) = defaults(&service, &person).await;
    assert_eq!((shipping.len(), billing.len()), (1, 1));
    paths.retain(|path| *path == shipping[0]);
    assert_eq!(paths, billing, "the last one took both");
    assert_eq!(defaults(&service, &other).await, (vec![others.clone()], vec![others]));
}

#[tokio::test]
async fn fifty_are_kept_however_many_are_added_at_once() {
    let service = Service::start().await;
    let person = service.person().await;
    for _ in 0..46 {
        service.address(&person, &home()).await;
    }
    let home = home();
    let answers = service.at_once(&person, (0..8).map(|_| service.post(&person, PATH, &home))).await;
    let (added, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(added.len(), 4);
    for answer in refused {
        let answer = answer.expect(409);
        assert_eq!(answer.problem(), "limit-reached");
        assert!(answer.text.contains("50 are kept"), "{}", answer.text);
    }
    service.delete(&person, added[0].header("location").unwrap()).await.expect(204);
    service.address(&person, &home).await;
}

#[tokio::test]
async fn who_does_not_say_which_version_they_saw_changes_no_address() {
    let service = Service::start().await;
    let person = service.person().await;
    let path = service.address(&person, &home()).await;
    let before = service.written().await;
    let change = json!({"city": "Potsdam"});
    let answer = service.send(service.by(&person, Method::PATCH, &path).json(&change)).await;
    assert_eq!(answer.expect(428).problem(), "if-match-required");
    for wrong in ["\"2\"", "W/\"1\"", "1", ""] {
        let answer = service.change(&person, Method::PATCH, &path, wrong, &change).await;
        assert_eq!(answer.expect(412).problem(), "outdated", "{wrong}");
        let removal = service.by(&person, Method::DELETE, &path).header("if-match", wrong);
        assert_eq!(service.send(removal).await.expect(412).problem(), "outdated", "{wrong}");
    }
    let nothing = service.change(&person, Method::PATCH, &path, "\"1\"", &json!({"city": "Berlin"})).await.expect(200);
    assert_eq!(nothing.header("etag"), Some("\"1\""));
    assert_eq!(service.written().await, before);
}

#[tokio::test]
async fn what_is_no_address_is_refused_by_its_field_and_nothing_is_written() {
    let service = Service::start().await;
    let person = service.person().await;
    let path = service.address(&person, &home()).await;
    let before = service.written().await;
    for (field, value) in [
        ("recipient", json!("")),
        ("recipient", json!("two\nlines")),
        ("recipient", Value::Null),
        ("line1", json!("x".repeat(201))),
        ("line2", json!("")),
        ("city", json!("x".repeat(101))),
        ("region", json!(7)),
        ("postalCode", json!("x".repeat(21))),
        ("country", json!("de")),
        ("country", json!("XX")),
        ("country", json!("DEU")),
        ("phone", json!("030123456")),
        ("phone", json!("+0301234567")),
        ("phone", json!("+4111111111111111")),
        ("line2", json!("card 4111 1111 1111 1111")),
        ("isDefaultShipping", json!("yes")),
        ("isDefaultBilling", Value::Null),
        ("userId", json!(Uuid::nil())),
    ] {
        let answer = service.post(&person, PATH, &with(home(), field, value.clone())).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}: {}", answer.text);
        assert!(!answer.text.contains("1111"), "{}", answer.text);
        let change = with(json!({}), field, value.clone());
        let answer = service.change(&person, Method::PATCH, &path, "*", &change).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}: {}", answer.text);
    }
    for missing in ["recipient", "line1", "city", "country"] {
        let mut body = home();
        body.as_object_mut().unwrap().remove(missing);
        let answer = service.post(&person, PATH, &body).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], missing);
    }
    assert_eq!(service.written().await, before);
}
