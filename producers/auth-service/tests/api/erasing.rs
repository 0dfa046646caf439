use auth_service::{announce_open, consumer};
use reqwest::Method;
use schemas::{ServiceName, UserErasureCompletedV1};
use serde_json::json;
use time::Duration;
use uuid::Uuid;
use worker::{Outcome, testing::Harness};

use crate::{PASSWORD, Service, world::Person};

async fn erase(service: &Service, person: &Person) -> Uuid {
    let body = service.by(person, Method::DELETE, "/v1/me", None).await.expect(202).json();
    body["erasureId"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_erased_account_leaves_nothing_that_tells_of_the_person() {
    let service = Service::start().await;
    let request = json!({"email": "lovelace@example.com", "password": PASSWORD, "displayName": "Countess"});
    service.post("/v1/auth/register", &request).await.expect(202);
    let token = service.mailed_token("lovelace@example.com").await;
    service.post("/v1/auth/email/verify", &json!({"token": token})).await.expect(204);
    // Failures before and after, and everything else that leaves a row.
    service.log_in("lovelace@example.com", "not the password").await.expect(401);
    service.post("/v1/auth/password/forgot", &json!({"email": "lovelace@example.com"})).await.expect(202);
    let body = service.log_in("lovelace@example.com", PASSWORD).await.expect(200).json();
    let id = sqlx::query_scalar("SELECT id FROM users").fetch_one(&service.pool).await.unwrap();
    let person = Person::from(id, "lovelace@example.com", &body);
    service
        .by(&person, Method::POST, "/v1/me/email", Some(&json!({"email": "countess@example.com"})))
        .await
        .expect(202);
    service.refresh(&person.refresh).await.expect(200);
    service.settled().await;
    // One of its events was published already.
    sqlx::query("UPDATE outbox SET status = 'published', published_at = now() WHERE event_type = 'user.created'")
        .execute(&service.pool)
        .await
        .unwrap();

    let erasure = erase(&service, &person).await;
    let dump = service.dump().await;
    for trace in ["lovelace", "countess", "Countess", "127.0.0.1", "argon2"] {
        let lines: Vec<_> = dump.lines().filter(|line| line.contains(trace)).collect();
        assert!(lines.is_empty(), "{trace}: {lines:?}");
    }
    for table in [
        "sessions",
        "refresh_tokens",
        "password_reset_tokens",
        "email_verification_tokens",
        "user_roles",
        "rate_limits",
    ] {
        // Of the address that was wanted, a minute is still counted; it is nobody's.
        assert_eq!(service.count(table).await, i64::from(table == "rate_limits"), "{table}");
    }
    // What is left to be told is that the account is gone.
    let events = service.events_of(id).await;
    let [(event_type, data)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event_type, "user.deleted");
    let names: Vec<_> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["erasureId", "source", "timestamp", "userId"]);
    assert_eq!(data["erasureId"], json!(erasure));

    // The trail still says what was done.
    assert_eq!(service.trail_of(id).await.last().unwrap(), "delete success");
    assert!(service.trail_of(id).await.len() > 5);
    for (method, path) in [(Method::GET, "/v1/me"), (Method::DELETE, "/v1/me")] {
        service.by(&person, method, path, None).await.expect(401);
    }
    service.refresh(&person.refresh).await.expect(401);
}

#[tokio::test]
async fn the_address_of_an_erased_account_registers_anew_as_somebody_new() {
    let service = Service::start().await;
    let before = service.person("ada@example.com").await;
    erase(&service, &before).await;
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    let after = service.person("ada@example.com").await;
    assert_ne!(before.id, after.id);
    assert_eq!(service.event_types_of(after.id).await[0], "user.created");
    // The account's own trail does not show that of the one before.
    assert_eq!(service.trail_of(after.id).await.len(), 3);
}

#[tokio::test]
async fn the_ledger_closes_when_every_service_has_answered_and_not_before() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    let erasure = erase(&service, &person).await;
    let ledger = async |query: &str| {
        let path = format!("/v1/admin/erasures{query}");
        service.by(&admin, Method::GET, &path, None).await.expect(200).json()["items"].clone()
    };
    let open = ledger("?state=open").await;
    assert_eq!(open[0]["erasureId"], json!(erasure));
    assert_eq!((&open[0]["userId"], &open[0]["waitingFor"]), (&json!(person.id), &json!(["user-service"])));
    assert_eq!(ledger("?state=completed").await, json!([]));

    let harness = Harness::new(consumer(), service.pool.clone()).await.unwrap();
    let answer = |erasure_id, user_id, by: ServiceName| {
        harness.envelope(&UserErasureCompletedV1 {
            user_id,
            timestamp: service.clock.now(),
            source: by.clone(),
            erasure_id,
            service: by,
        })
    };
    let unknown = answer(Uuid::from_u128(1), person.id, ServiceName::USER_SERVICE);
    let anothers = answer(erasure, admin.id, ServiceName::USER_SERVICE);
    let not_asked = answer(erasure, person.id, ServiceName::PRODUCT_SERVICE);
    let right = answer(erasure, person.id, ServiceName::USER_SERVICE);
    let outcomes = harness.deliver(&[unknown, anothers, not_asked]).await;
    assert!(
        matches!(outcomes[..], [Outcome::DeadLettered(_), Outcome::DeadLettered(_), Outcome::Stale]),
        "{outcomes:?}"
    );
    assert_eq!(ledger("?state=open").await.as_array().unwrap().len(), 1);
    assert_eq!(harness.deliver(std::slice::from_ref(&right)).await, [Outcome::Applied]);
    assert_eq!(harness.deliver(&[right]).await, [Outcome::Duplicate]);
    assert_eq!(ledger("?state=open").await, json!([]));
    let closed = ledger(&format!("?user={}", person.id)).await;
    assert_eq!(closed[0]["waitingFor"], json!([]));
    assert!(closed[0]["completedAt"].is_string(), "{closed}");
}

#[tokio::test]
async fn services_that_have_not_answered_are_told_again_each_day() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let erasure = erase(&service, &person).await;
    let origin = auth_service::Origin::internal();
    assert_eq!(announce_open(&service.store, &origin).await.unwrap(), 0);
    service.clock.advance(Duration::days(1) + Duration::seconds(1));
    assert_eq!(announce_open(&service.store, &origin).await.unwrap(), 1);
    assert_eq!(announce_open(&service.store, &origin).await.unwrap(), 0);
    let events = service.envelopes().await;
    let deleted: Vec<_> = events.iter().filter(|(envelope, _)| envelope.event_type == "user.deleted").collect();
    let [(first, one), (second, other)] = deleted.as_slice() else { panic!("{deleted:?}") };
    assert_eq!((&one["erasureId"], &other["erasureId"]), (&json!(erasure), &json!(erasure)));
    assert_ne!(first.id, second.id);
    assert!(second.sequence > first.sequence);
}
