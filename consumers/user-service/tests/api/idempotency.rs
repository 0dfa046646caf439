//! Requests that are sent again.

use serde_json::{Value, json};
use service::postgres::Pool;
use time::Duration;
use user_service::retention;

use crate::{
    Service,
    described::Answer,
    world::{Person, card, home, with},
};

const ADDRESSES: &str = "/v1/me/addresses";
const PAYMENT_METHODS: &str = "/v1/me/payment-methods";

async fn kept(service: &Service, person: &Person, path: &str) -> usize {
    service.get(person, path).await.expect(200).json()["items"].as_array().unwrap().len()
}

fn both() -> [(&'static str, Value); 2] {
    [(ADDRESSES, home()), (PAYMENT_METHODS, card())]
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_as_the_first_time_and_done_once() {
    let service = Service::start().await;
    let person = service.person().await;
    for (path, body) in both() {
        let first = service.post_again(&person, path, "attempt-1", &body).await.expect(201);
        service.clock.advance(Duration::minutes(5));
        for key in ["attempt-1", "\"attempt-1\"", " attempt-1 "] {
            let again = service.post_again(&person, path, key, &body).await;
            assert_eq!(again.alike(), first.clone().alike(), "{path} {key}");
        }
        assert_eq!(kept(&service, &person, path).await, 1);
        // Also where what it made is gone, or as much as may be is kept.
        service.delete(&person, first.header("location").unwrap()).await.expect(204);
        service.post_again(&person, path, "attempt-1", &body).await.expect(201);
        assert_eq!(kept(&service, &person, path).await, 0);
    }
}

#[tokio::test]
async fn neither_blanks_nor_the_order_of_fields_make_another_request() {
    let service = Service::start().await;
    let person = service.person().await;
    let send = async |body: &str| {
        let request = service.by(&person, reqwest::Method::POST, ADDRESSES).header("idempotency-key", "key");
        service.send(request.header("content-type", "application/json").body(body.to_owned())).await
    };
    let first = send(r#"{"recipient":"A","line1":"1","city":"B","country":"DE"}"#).await.expect(201);
    let again = send("{ \"country\": \"DE\", \"city\": \"B\",\n \"line1\": \"1\", \"recipient\": \"A\" }").await;
    assert_eq!(again.alike(), first.alike());
}

#[tokio::test]
async fn a_key_with_another_request_is_refused_and_stands_for_the_first() {
    let service = Service::start().await;
    let person = service.person().await;
    for (path, body) in both() {
        let other = with(body.clone(), if path == ADDRESSES { "city" } else { "last4" }, json!("1234"));
        service.post_again(&person, path, "key", &body).await.expect(201);
        let before = service.written().await;
        let answer = service.post_again(&person, path, "key", &other).await.expect(422);
        assert_eq!(answer.problem(), "idempotency-key-reused");
        assert_eq!(service.written().await, before);
        service.post_again(&person, path, "key", &body).await.expect(201);
    }
}

#[tokio::test]
async fn of_copies_at_the_same_moment_one_is_done_and_all_are_answered_alike() {
    let service = Service::start().await;
    for person in [service.person().await, service.stranger()] {
        for (path, body) in both() {
            let body = if path == PAYMENT_METHODS { card() } else { body };
            let copies = (0..8).map(|_| service.post_again(&person, path, "key", &body));
            let answers = service.at_once(&person, copies).await;
            let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect(201).alike()).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
            assert_eq!(kept(&service, &person, path).await, 1);
        }
    }
}

#[tokio::test]
async fn a_key_means_something_to_one_user_on_one_route() {
    let service = Service::start().await;
    let (person, other) = (service.person().await, service.person().await);
    let mut places = Vec::new();
    for person in [&person, &other] {
        for (path, body) in [(ADDRESSES, home()), (PAYMENT_METHODS, card())] {
            let answer = service.post_again(person, path, "key", &body).await.expect(201);
            places.push(answer.header("location").unwrap().to_owned());
        }
    }
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 4);
}

#[tokio::test]
async fn a_key_stands_for_its_request_for_a_day() {
    let service = Service::start().await;
    let person = service.person().await;
    let send = async |body: &Value| -> Answer {
        let person = Person { token: service.token(person.id, &["user"], 1), ..person.clone() };
        service.post_again(&person, ADDRESSES, "key", body).await
    };
    let first = send(&home()).await.expect(201);
    service.clock.advance(Duration::hours(24) - Duration::minutes(1));
    assert_eq!(send(&home()).await.header("location"), first.header("location"));
    service.clock.advance(Duration::minutes(1));
    let other = with(home(), "city", json!("Potsdam"));
    let second = send(&other).await.expect(201);
    assert_ne!(second.header("location"), first.header("location"));
    assert_eq!(send(&other).await.header("location"), second.header("location"));
    assert_eq!(send(&home()).await.expect(422).problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn answers_are_taken_away_after_a_day_and_not_before() {
    let service = Service::start().await;
    let person = service.person().await;
    service.address(&person, &home()).await;
    // More than are taken away at a time.
    service
        .execute(&format!(
            "INSERT INTO idempotency_keys (user_id, route, key, request_sha256, location, etag, body, created_at)
             SELECT '{}', 'POST /', n::text, sha256(''), '', '', '', now() - interval '25 hours'
               FROM generate_series(1, 2500) n",
            person.id
        ))
        .await;
    let pool = Pool::new(service.pool.clone());
    let take_away = async || retention::take_away(&pool, service.clock.now()).await.unwrap();
    assert_eq!(take_away().await, 2_500);
    service.clock.advance(Duration::hours(23));
    assert_eq!(take_away().await, 0);
    service.clock.advance(Duration::hours(1) + Duration::seconds(1));
    assert_eq!(take_away().await, 1);
    let addresses: i64 = sqlx::query_scalar("SELECT count(*) FROM addresses").fetch_one(&service.pool).await.unwrap();
    assert_eq!(addresses, 1, "what was made stays");
}

#[tokio::test]
async fn nothing_that_was_refused_is_kept_so_that_it_can_be_tried_again() {
    let service = Service::start().await;
    let person = service.person().await;
    let keys = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(&service.pool).await.unwrap()
    };
    service.post_again(&person, ADDRESSES, "key", &with(home(), "country", json!("XX"))).await.expect(422);
    service.post_again(&person, PAYMENT_METHODS, "key", &with(card(), "expYear", json!(2_000))).await.expect(422);
    service
        .execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$")
        .await;
    // By COMMIT, when both the change and the answer are there.
    for table in ["addresses", "payment_methods", "idempotency_keys"] {
        let trigger = format!(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        service.execute(&trigger).await;
        for (path, body) in both() {
            if table == "idempotency_keys" || path.ends_with(&table.replace('_', "-")) {
                service.post_again(&person, path, "key", &body).await.expect(500);
            }
        }
        service.execute(&format!("DROP TRIGGER refuse ON {table}")).await;
    }
    assert_eq!(keys().await, 0);
    for (path, body) in both() {
        assert_eq!(kept(&service, &person, path).await, 0);
        service.post_again(&person, path, "key", &body).await.expect(201);
    }
    assert_eq!(keys().await, 2);
}

#[tokio::test]
async fn who_makes_up_no_key_is_asked_to() {
    let service = Service::start().await;
    let person = service.person().await;
    let before = service.written().await;
    for (path, body) in both() {
        let without = service.by(&person, reqwest::Method::POST, path).json(&body);
        assert_eq!(service.send(without).await.expect(400).problem(), "idempotency-key-required");
        let too_long = "x".repeat(256);
        for wrong in ["", "two words", "\"unclosed", too_long.as_str()] {
            let answer = service.post_again(&person, path, wrong, &body).await.expect(400);
            assert_eq!(answer.problem(), "idempotency-key-required", "{wrong}");
        }
    }
    assert_eq!(service.written().await, before);
}
