use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    Service,
    world::{Person, card, with},
};

const PATH: &str = "/v1/me/payment-methods";

async fn defaults(service: &Service, person: &Person) -> Vec<String> {
    let page = service.get(person, PATH).await.expect(200).json();
    let defaults = page["items"].as_array().unwrap().iter().filter(|item| item["isDefault"] == json!(true));
    defaults.map(|item| format!("{PATH}/{}", item["paymentMethodId"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_payment_method_is_added_read_changed_and_removed() {
    let service = Service::start().await;
    let person = service.person().await;
    let card = card();
    let added = service.post(&person, PATH, &card).await.expect(201);
    let path = added.header("location").unwrap().to_owned();
    let read = service.get(&person, &path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (added.json(), Some("\"1\"")));
    for field in ["provider", "brand", "last4", "expMonth", "expYear"] {
        assert_eq!(read.json()[field], card[field], "{field}");
    }
    let change = json!({"expMonth": 1, "expYear": 2098, "isDefault": true});
    let changed = service.change(&person, Method::PATCH, &path, "\"1\"", &change).await.expect(200);
    assert_eq!((&changed.json()["expMonth"], changed.header("etag")), (&json!(1), Some("\"2\"")));
    assert_eq!(service.get(&person, PATH).await.json()["items"], json!([changed.json()]));
    service.change(&person, Method::PATCH, &path, "\"1\"", &change).await.expect(412);
    service.delete(&person, &path).await.expect(204);
    for answer in [service.get(&person, &path).await, service.delete(&person, &path).await] {
        assert_eq!(answer.expect(404).problem(), "no-such-payment-method");
    }
}

#[tokio::test]
async fn what_stands_for_a_card_is_never_shown() {
    let service = Service::start().await;
    let person = service.person().await;
    let card = card();
    let token = card["providerToken"].as_str().unwrap();
    let added = service.post_again(&person, PATH, "key", &card).await.expect(201);
    let path = added.header("location").unwrap().to_owned();
    let change = json!({"isDefault": true});
    let administrator = service.administrator().await;
    for answer in [
        added,
        service.post_again(&person, PATH, "key", &card).await.expect(201),
        service.get(&person, &path).await.expect(200),
        service.get(&person, PATH).await.expect(200),
        service.change(&person, Method::PATCH, &path, "*", &change).await.expect(200),
        service.post(&person, PATH, &card).await.expect(409),
        service.get(&administrator, &format!("/v1/admin/users/{}", person.id)).await.expect(200),
    ] {
        assert!(!answer.text.contains(token), "{}", answer.text);
    }
    let kept = service.written().await.into_iter().filter(|row| row.contains(token)).collect::<Vec<_>>();
    assert!(matches!(kept.as_slice(), [row] if row.starts_with("payment_methods")), "{kept:?}");
}

#[tokio::test]
async fn what_stands_for_a_card_is_kept_once_whoever_shows_it() {
    let service = Service::start().await;
    let (person, other) = (service.person().await, service.person().await);
    let card = card();
    service.payment_method(&person, &card).await;
    let before = service.written().await;
    for person in [&person, &other] {
        let again = with(card.clone(), "isDefault", json!(true));
        assert_eq!(service.post(person, PATH, &again).await.expect(409).problem(), "payment-method-kept");
    }
    assert_eq!(service.written().await, before);
    service.payment_method(&other, &with(card, "provider", json!("adyen"))).await;
}

#[tokio::test]
async fn however_many_at_once_there_is_one_default() {
    let service = Service::start().await;
    let person = service.person().await;
    let cards: Vec<_> = (0..6).map(|_| with(card(), "isDefault", json!(true))).collect();
    let paths = join_all(cards.iter().map(|card| service.payment_method(&person, card))).await;
    assert_eq!(defaults(&service, &person).await.len(), 1);
    let change = json!({"isDefault": true});
    let changes = paths.iter().map(|path| service.change(&person, Method::PATCH, path, "*", &change));
    for answer in service.at_once(&person, changes).await {
        answer.expect(200);
    }
    assert_eq!(defaults(&service, &person).await.len(), 1);
}

#[tokio::test]
async fn twenty_are_kept() {
    let service = Service::start().await;
    let person = service.person().await;
    for _ in 0..18 {
        service.payment_method(&person, &card()).await;
    }
    let cards: Vec<_> = (0..4).map(|_| card()).collect();
    let answers = service.at_once(&person, cards.iter().map(|card| service.post(&person, PATH, card))).await;
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(refused.len(), 2);
    for answer in refused {
        assert_eq!(answer.expect(409).problem(), "limit-reached");
    }
}

#[tokio::test]
async fn a_card_that_has_expired_is_not_taken_and_one_that_expires_meanwhile_stays() {
    let service = Service::start().await;
    let person = service.person().await;
    let now = service.clock.now();
    let expiry = |month: u8, year: i32| json!({"expMonth": month, "expYear": year});
    let expired = expiry(u8::from(now.month()), now.year() - 1);
    let in_this_month = expiry(u8::from(now.month()), now.year());
    let merged = |expiry: &Value| {
        with(with(card(), "expMonth", expiry["expMonth"].clone()), "expYear", expiry["expYear"].clone())
    };
    let answer = service.post(&person, PATH, &merged(&expired)).await.expect(422);
    assert_eq!(answer.json()["errors"][0]["field"], "expYear", "{}", answer.text);
    let path = service.payment_method(&person, &merged(&in_this_month)).await;

    service.clock.advance(Duration::days(32));
    let person = Person { token: service.token(person.id, &["user"], 1), ..person };
    assert_eq!(service.get(&person, &path).await.expect(200).json()["expYear"], json!(now.year()));
    let change = json!({"isDefault": true});
    service.change(&person, Method::PATCH, &path, "*", &change).await.expect(200);
    service.change(&person, Method::PATCH, &path, "*", &expired).await.expect(422);
    service.change(&person, Method::PATCH, &path, "*", &json!({"expYear": 2098})).await.expect(200);
}

#[tokio::test]
async fn what_is_no_payment_method_is_refused_by_its_field_and_nothing_is_written() {
    let service = Service::start().await;
    let person = service.person().await;
    let path = service.payment_method(&person, &card()).await;
    let before = service.written().await;
    for (field, value) in [
        ("provider", json!("Stripe")),
        ("provider", json!("")),
        ("provider", json!("x".repeat(65))),
        ("providerToken", json!("")),
        ("providerToken", json!("123456789012")),
        ("providerToken", json!("pm 1")),
        ("providerToken", json!("x".repeat(256))),
        ("brand", json!("VISA")),
        ("last4", json!("424")),
        ("last4", json!("42424")),
        ("last4", json!("٤٢٤٢")),
        ("last4", json!(4242)),
        ("expMonth", json!(0)),
        ("expMonth", json!(13)),
        ("expMonth", json!("12")),
        ("expYear", json!(1999)),
        ("expYear", json!(10_000)),
        ("isDefault", Value::Null),
        ("number", json!("4242")),
        ("cvc", json!("737")),
    ] {
        let answer = service.post(&person, PATH, &with(card(), field, value.clone())).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}: {}", answer.text);
        let change = with(json!({}), field, value.clone());
        let answer = service.change(&person, Method::PATCH, &path, "*", &change).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}: {}", answer.text);
    }
    assert_eq!(service.written().await, before);
}
