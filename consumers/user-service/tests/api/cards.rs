//! The number of a card, wherever somebody puts it: it is refused, and is in no answer, no log line, no table, no metric.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    Service, recording,
    world::{Person, card, home, with},
};

/// Of 12 to 18 digits, and the one that makes the check come out.
fn completed(mut digits: Vec<u8>) -> Vec<u8> {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let weighed = if place % 2 == 0 { digit * 2 } else { *digit };
            u32::from(weighed / 10 + weighed % 10)
        })
        .sum();
    digits.push(((10 - sum % 10) % 10) as u8);
    digits
}

/// With one of these after each digit but the last.
fn written(digits: &[u8], separators: &[usize]) -> String {
    const BETWEEN: [&str; 6] = ["", "", "", "-", " ", " - "];
    let mut text = String::new();
    for (place, digit) in digits.iter().enumerate() {
        if place > 0 {
            text.push_str(BETWEEN[separators[place % separators.len()] % BETWEEN.len()]);
        }
        text.push(char::from(b'0' + digit));
    }
    text
}

/// Where a number is put.
const PLACES: usize = 10;

async fn send(
    service: &Service,
    person: &Person,
    method: &str,
    place: usize,
    number: &str,
) -> crate::described::Answer {
    let plain: String = number.chars().filter(char::is_ascii_digit).collect();
    let paths = ("/v1/me/payment-methods", method);
    let body = match place {
        0 => with(card(), "providerToken", json!(number)),
        1 => with(card(), "providerToken", json!(format!("pm_{number}x"))),
        2 => with(card(), "brand", json!(number)),
        3 => with(card(), "last4", json!(number)),
        4 => with(card(), "number", json!(number)),
        5 => with(card(), "more", json!({"a": [1, {"b": [format!("card: {number} 12/28 737")]}]})),
        6 => with(card(), number, json!(1)),
        7 => with(card(), "expYear", json!(plain.parse::<u64>().unwrap())),
        8 => with(card(), "more", json!([{number: null}])),
        _ => card(),
    };
    let key = if place == 9 { format!("\"{}\"", number.replace(' ', "-")) } else { uuid::Uuid::new_v4().to_string() };
    if place != 9 && !number.len().is_multiple_of(3) {
        let request = service.by(person, Method::PATCH, paths.1).header("if-match", "*").json(&body);
        return service.send(request).await;
    }
    service.post_again(person, paths.0, &key, &body).await
}

#[test]
fn a_cards_number_is_refused_wherever_it_stands_and_found_nowhere_afterwards() {
    recording::begin();
    // One thread, so that everything that is logged is seen.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (service, person, method) = runtime.block_on(async {
        let service = Service::start().await;
        let person = service.person().await;
        let method = service.payment_method(&person, &card()).await;
        (service, person, method)
    });
    let before = runtime.block_on(service.written());
    let digits = prop::collection::vec(0u8..10, 12..19);
    let strategy = (digits, prop::collection::vec(0usize..6, 1..6), 0..PLACES);
    let mut runner = TestRunner::new(Config { cases: 120, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(digits, separators, place)| {
        let mut digits = digits;
        // A number in JSON begins with no zero.
        digits[0] = digits[0].max(1);
        let digits = completed(digits);
        let number = written(&digits, &separators);
        let plain: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let answer = runtime.block_on(send(&service, &person, &method, place, &number));
        prop_assert_eq!(answer.status, 422, "{} at {}: {}", number, place, answer.text);
        prop_assert_eq!(answer.problem(), "card-number");
        let log = recording::log();
        prop_assert!(log.contains("/v1/me/payment-methods"), "the log was taken");
        let (dump, metrics) = runtime.block_on(async {
            let metrics = service.client.get(format!("{}/metrics", service.internal_url)).send().await.unwrap();
            (service.written().await, metrics.text().await.unwrap())
        });
        recording::log();
        for spelling in [plain.as_str(), number.as_str(), number.replace(' ', "-").as_str()] {
            for (kind, text) in [("answer", &answer.text), ("log", &log), ("metrics", &metrics)] {
                prop_assert!(!text.contains(spelling), "{}: {}", kind, text);
            }
            prop_assert!(dump.iter().all(|row| !row.contains(spelling)), "{:?}", dump);
        }
        prop_assert_eq!(&dump, &before);
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn a_path_or_a_query_with_a_cards_number_is_neither_logged_nor_repeated() {
    recording::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = Service::start().await;
        let person = service.person().await;
        for number in ["4111111111111111", "4111-1111-1111-1111", "4111%201111%201111%201111"] {
            let path = format!("/v1/me/payment-methods/{number}");
            let query = format!("/v1/me/payment-methods?{number}=1&cursor={number}");
            let nowhere = format!("/v1/{number}");
            for (path, status) in [(path, 404), (query, 422), (nowhere, 404)] {
                let answer = service.get(&person, &path).await.expect(status);
                assert!(!answer.text.contains("1111"), "{}", answer.text);
            }
        }
        let query = "/v1/me/addresses?4111111111111111=1";
        assert!(!service.get(&person, query).await.expect(422).text.contains("1111"));
    });
    let log: Vec<_> = recording::log().lines().filter(|line| line.contains("answered")).map(str::to_owned).collect();
    assert!(log.len() >= 10, "{log:?}");
    // What the client's own library logs of its requests is not the service's.
    let line = log.iter().find(|line| line.contains("1111"));
    assert!(line.is_none(), "{line:?}");
}

/// Of other texts, what is as long as a card's number is refused as well; but nothing else is, in particular no address.
#[tokio::test]
async fn what_is_no_cards_number_is_not_taken_for_one() {
    let service = Service::start().await;
    let person = service.person().await;
    for token in ["pm_4111111111111112", "tok_411111111111", "b1b2b3-4111"] {
        service.payment_method(&person, &with(card(), "providerToken", json!(token))).await;
    }
    for phone in ["+378282246310005", "+4111111111111"] {
        service.address(&person, &with(home(), "phone", json!(phone))).await;
    }
    let key = "41111111-1111-4111-8111-000000000000";
    service.post_again(&person, "/v1/me/addresses", key, &home()).await.expect(201);
    let page = service.get(&person, "/v1/me/payment-methods").await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(3), "{page}");
}
