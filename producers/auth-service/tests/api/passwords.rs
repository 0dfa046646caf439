use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::{PASSWORD, Service};

const NEW: &str = "she hums along to trams";

async fn forget(service: &Service, email: &str) -> String {
    service.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    service.mailed_token(email).await
}

#[tokio::test]
async fn a_reset_sets_the_password_once_signs_everybody_out_and_nobody_in() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let token = forget(&service, "ada@example.com").await;
    assert!(token.starts_with("prt_"));
    let body = json!({"token": token, "password": NEW});
    let answers = join_all((0..5).map(|_| service.post("/v1/auth/password/reset", &body))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 4, "{statuses:?}");
    assert!(answers.iter().all(|answer| !answer.text.contains("Token\":")), "{answers:?}");

    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    service.refresh(&person.refresh).await.expect(401);
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    service.log_in("ada@example.com", NEW).await.expect(200);
    let (event_type, data) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!((event_type.as_str(), &data["minTokenVersion"]), ("user.password.changed", &json!(2)));
}

/// Whoever has the mailbox has the account, whoever registered it.
#[tokio::test]
async fn a_reset_verifies_the_address_and_puts_out_who_registered_it() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let id = sqlx::query_scalar("SELECT id FROM users").fetch_one(&service.pool).await.unwrap();
    let token = forget(&service, "ada@example.com").await;
    service.post("/v1/auth/password/reset", &json!({"token": token, "password": NEW})).await.expect(204);
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    service.log_in("ada@example.com", NEW).await.expect(200);
    let types = service.event_types_of(id).await;
    assert_eq!(types[types.len() - 2..], ["user.email.verified", "user.password.changed"]);
}

#[tokio::test]
async fn a_password_that_does_not_fit_leaves_the_token_good() {
    let service = Service::start().await;
    service.make_account("lovelace@example.com").await;
    let token = forget(&service, "lovelace@example.com").await;
    for (password, message) in [
        ("short", "should have at least 15 characters"),
        ("lovelace likes computers", "should not contain the e-mail address"),
        ("qwertyuiopasdfghjkl", "should be harder to guess"),
    ] {
        let answer = service.post("/v1/auth/password/reset", &json!({"token": token, "password": password})).await;
        let error = answer.expect(422).json()["errors"][0].clone();
        assert_eq!(error["field"], "password");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    service.post("/v1/auth/password/reset", &json!({"token": token, "password": NEW})).await.expect(204);
}

#[tokio::test]
async fn a_reset_that_is_late_or_replaced_is_refused() {
    let service = Service::start().await;
    service.make_account("ada@example.com").await;
    let first = forget(&service, "ada@example.com").await;
    service.clock.advance(Duration::seconds(61));
    let second = forget(&service, "ada@example.com").await;
    assert_ne!(first, second);
    service.post("/v1/auth/password/reset", &json!({"token": first, "password": NEW})).await.expect(400);
    service.clock.advance(Duration::minutes(30));
    let late = service.post("/v1/auth/password/reset", &json!({"token": second, "password": NEW})).await.expect(400);
    assert_eq!(late.problem(), "invalid-token");
    // A token of a verification is none of a reset.
    service.register("bob@example.com").await.expect(202);
    let verification = service.mailed_token("bob@example.com").await;
    service.post("/v1/auth/password/reset", &json!({"token": verification, "password": NEW})).await.expect(400);
}

#[tokio::test]
async fn a_change_needs_the_current_password_and_ends_the_other_sessions() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let other = service.again(&person).await;
    let change = |current: &str| json!({"currentPassword": current, "newPassword": NEW});
    let path = "/v1/auth/password/change";
    let wrong = service.by(&person, Method::POST, path, Some(&change("not the password"))).await.expect(403);
    assert_eq!(wrong.problem(), "wrong-password");
    service.by(&person, Method::POST, path, Some(&change(PASSWORD))).await.expect(204);

    service.by(&other, Method::GET, "/v1/me", None).await.expect(401);
    service.refresh(&other.refresh).await.expect(401);
    // This session goes on, with a new access token.
    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    let body = service.refresh(&person.refresh).await.expect(200).json();
    let person = crate::world::Person::from(person.id, &person.email, &body);
    service.by(&person, Method::GET, "/v1/me", None).await.expect(200);
    service.log_in("ada@example.com", NEW).await.expect(200);
    assert_eq!(service.event_types_of(person.id).await.pop().unwrap(), "user.password.changed");
}

#[tokio::test]
async fn a_stolen_session_is_no_way_to_guess_the_password() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let path = "/v1/auth/password/change";
    let guess = json!({"currentPassword": "not the password", "newPassword": NEW});
    for _ in 0..10 {
        service.by(&person, Method::POST, path, Some(&guess)).await.expect(403);
    }
    let right = json!({"currentPassword": PASSWORD, "newPassword": NEW});
    service.by(&person, Method::POST, path, Some(&right)).await.expect(403);
    assert_eq!(service.trail_of(person.id).await.last().unwrap(), "change-password failure locked");
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_replaced_when_its_owner_signs_in() {
    let service = Service::start().await;
    service.make_account("ada@example.com").await;
    let older = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(8 * 1_024, 1, 1, None).unwrap(),
    );
    let older = argon2::PasswordHasher::hash_password(&older, PASSWORD.as_bytes()).unwrap().to_string();
    sqlx::query("UPDATE users SET password_hash = $1").bind(&older).execute(&service.pool).await.unwrap();
    service.log_in("ada@example.com", "not the password").await.expect(401);
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
    let stored: String = sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&service.pool).await.unwrap();
    assert!(stored.contains("m=19456,t=2,p=1"), "{stored}");
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
}
