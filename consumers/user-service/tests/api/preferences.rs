use reqwest::Method;
use serde_json::{Value, json};

use crate::{Service, world::with};

const PATH: &str = "/v1/me/preferences";

fn preferences() -> Value {
    json!({
        "locale": "de-AT", "currency": "CHF", "timeZone": "Europe/Vienna", "marketingEmails": false, "priceDropEmails": true,
    })
}

#[tokio::test]
async fn who_has_said_nothing_has_the_defaults_and_writes_nothing_by_reading_them() {
    let service = Service::start().await;
    let person = service.person().await;
    let before = service.written().await;
    let read = service.get(&person, PATH).await.expect(200);
    let defaults = json!({
        "locale": "en", "currency": "EUR", "timeZone": "UTC", "marketingEmails": false, "priceDropEmails": false,
    });
    assert_eq!((read.json(), read.header("etag")), (defaults.clone(), Some("\"0\"")));
    // To say what is so already is to say nothing.
    service.change(&person, Method::PUT, PATH, "\"0\"", &defaults).await.expect(200);
    assert_eq!(service.written().await, before);
    // They are what the table itself would say.
    service.execute(&format!("INSERT INTO user_preferences (user_id) VALUES ('{}')", person.id)).await;
    assert_eq!(service.get(&person, PATH).await.json(), defaults);
}

#[tokio::test]
async fn preferences_are_replaced_as_a_whole_by_who_saw_the_last_ones() {
    let service = Service::start().await;
    let person = service.person().await;
    let replace = async |seen: &str, body: &Value| service.change(&person, Method::PUT, PATH, seen, body).await;
    assert_eq!(replace("\"1\"", &preferences()).await.expect(412).problem(), "outdated");
    let replaced = replace("\"0\"", &preferences()).await.expect(200);
    assert_eq!((replaced.json(), replaced.header("etag")), (preferences(), Some("\"1\"")));
    assert_eq!(service.get(&person, PATH).await.json(), preferences());
    replace("\"0\"", &with(preferences(), "locale", json!("fr"))).await.expect(412);
    let again = replace("*", &preferences()).await.expect(200);
    assert_eq!(again.header("etag"), Some("\"1\""), "nothing was changed");
    let answer = replace("\"1\"", &with(preferences(), "locale", json!("fr"))).await.expect(200);
    assert_eq!(answer.header("etag"), Some("\"2\""));
    let unsaid = service.send(service.by(&person, Method::PUT, PATH).json(&preferences())).await;
    assert_eq!(unsaid.expect(428).problem(), "if-match-required");
}

#[tokio::test]
async fn of_many_who_saw_the_defaults_one_replaces_them() {
    let service = Service::start().await;
    let person = service.person().await;
    let locales = ["de", "fr", "it", "es", "pt", "nl"];
    let bodies: Vec<_> = locales.iter().map(|locale| with(preferences(), "locale", json!(locale))).collect();
    let writers = bodies.iter().map(|body| service.change(&person, Method::PUT, PATH, "\"0\"", body));
    let answers = service.at_once(&person, writers).await;
    let (replaced, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((replaced.len(), refused.len()), (1, 5));
    assert!(refused.iter().all(|answer| answer.status == 412));
    assert_eq!(service.get(&person, PATH).await.json(), replaced[0].json());
}

#[tokio::test]
async fn what_is_no_preference_is_refused_by_its_field_and_nothing_is_written() {
    let service = Service::start().await;
    let person = service.person().await;
    let before = service.written().await;
    for (field, value) in [
        ("locale", json!("german")),
        ("locale", json!("de_AT")),
        ("currency", json!("eur")),
        ("currency", json!("XXX")),
        ("currency", json!("ABC")),
        ("timeZone", json!("Europe/Atlantis")),
        ("timeZone", json!("europe/vienna")),
        ("timeZone", json!("Foo5")),
        ("timeZone", json!("posix/Europe/Vienna")),
        ("timeZone", json!("CEST")),
        ("timeZone", json!("")),
        ("timeZone", json!("Factory")),
        ("marketingEmails", Value::Null),
        ("priceDropEmails", json!("yes")),
        ("theme", json!("dark")),
    ] {
        let body = with(preferences(), field, value.clone());
        let answer = service.change(&person, Method::PUT, PATH, "*", &body).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}: {}", answer.text);
    }
    for field in preferences().as_object().unwrap().keys() {
        let mut body = preferences();
        body.as_object_mut().unwrap().remove(field);
        let answer = service.change(&person, Method::PUT, PATH, "*", &body).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], json!(field));
    }
    assert_eq!(service.written().await, before);
    for time_zone in ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "Asia/Kolkata"] {
        let body = with(preferences(), "timeZone", json!(time_zone));
        service.change(&person, Method::PUT, PATH, "*", &body).await.expect(200);
    }
}
