use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::{PASSWORD, Service};

async fn verify(service: &Service, token: &str) -> u16 {
    service.post("/v1/auth/email/verify", &json!({"token": token})).await.status
}

#[tokio::test]
async fn an_address_is_verified_once_by_the_token_of_its_mail() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let token = service.mailed_token("ada@example.com").await;
    let statuses = join_all((0..10).map(|_| verify(&service, &token))).await;
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 9, "{statuses:?}");
    let id = sqlx::query_scalar("SELECT id FROM users").fetch_one(&service.pool).await.unwrap();
    let (event_type, data) = service.events_of(id).await.pop().unwrap();
    assert_eq!((event_type.as_str(), &data["emailVerified"]), ("user.email.verified", &json!(true)));
    assert_eq!(service.event_types_of(id).await.len(), 3);
}

#[tokio::test]
async fn a_link_in_a_mail_is_not_used_up_by_who_only_follows_it() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let token = service.mailed_token("ada@example.com").await;
    let followed = service.request(Method::GET, &format!("/v1/auth/email/verify?token={token}")).send().await.unwrap();
    assert_eq!(followed.status(), 405);
    assert_eq!(verify(&service, &token).await, 204);
}

#[tokio::test]
async fn a_token_that_is_late_or_replaced_is_no_good() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let first = service.mailed_token("ada@example.com").await;
    // A minute has to pass between two mails.
    let resend = json!({"email": "ada@example.com"});
    service.post("/v1/auth/email/resend", &resend).await.expect(202);
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 1);
    service.clock.advance(Duration::seconds(61));
    service.post("/v1/auth/email/resend", &resend).await.expect(202);
    let tokens = service.mailed_tokens("ada@example.com").await;
    assert_eq!(tokens.len(), 2);
    assert_eq!(verify(&service, &first).await, 400);
    service.clock.advance(Duration::hours(24) + Duration::seconds(1));
    assert_eq!(verify(&service, &tokens[1]).await, 400);
    for text in ["", "hunter2", "evt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_000000"] {
        assert_eq!(verify(&service, text).await, 400);
    }
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
}

#[tokio::test]
async fn asking_for_a_mail_is_answered_the_same_for_every_address() {
    let service = Service::start().await;
    service.make_account("verified@example.com").await;
    service.register("waiting@example.com").await.expect(202);
    service.clock.advance(Duration::minutes(2));
    let mails = service.count("outbox").await;
    for path in ["/v1/auth/email/resend", "/v1/auth/password/forgot"] {
        let mut texts = Vec::new();
        for email in ["nobody@example.com", "verified@example.com", "waiting@example.com"] {
            texts.push(service.post(path, &json!({"email": email})).await.expect(202).text);
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }
    // A verification for who waits for it, a reset for each account, and nothing for nobody.
    assert_eq!(service.count("outbox").await, mails + 3);
}

#[tokio::test]
async fn an_address_changes_when_its_new_owner_has_shown_that_it_is_theirs() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    service.post("/v1/auth/password/forgot", &json!({"email": "ada@example.com"})).await.expect(202);
    let reset = service.mailed_token("ada@example.com").await;
    let wanted = json!({"email": "New@example.com"});
    service.by(&person, Method::POST, "/v1/me/email", Some(&wanted)).await.expect(202);
    let me = service.by(&person, Method::GET, "/v1/me", None).await.json();
    assert_eq!(me["email"], "ada@example.com");

    let token = service.mailed_token("new@example.com").await;
    assert_eq!(verify(&service, &token).await, 204);
    let me = service.by(&person, Method::GET, "/v1/me", None).await.json();
    assert_eq!((&me["email"], &me["emailVerified"]), (&json!("new@example.com"), &json!(true)));
    let (event_type, data) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!(event_type, "user.email.changed");
    assert_eq!((&data["email"], &data["previousEmail"]), (&json!("new@example.com"), &json!("ada@example.com")));
    // A link in the old mailbox sets no password any more, and the old address signs nobody in.
    let late = json!({"token": reset, "password": "she hums along to trams"});
    service.post("/v1/auth/password/reset", &late).await.expect(400);
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    service.log_in("new@example.com", PASSWORD).await.expect(200);
    service.make_account("ada@example.com").await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_not_given_away_and_its_owner_is_told() {
    let service = Service::start().await;
    let owner = service.person("owner@example.com").await;
    let other = service.person("other@example.com").await;
    service.clock.advance(Duration::hours(2));
    let other = service.again(&other).await;
    let free = service.by(&other, Method::POST, "/v1/me/email", Some(&json!({"email": "free@example.com"}))).await;
    let taken = service.by(&other, Method::POST, "/v1/me/email", Some(&json!({"email": "owner@example.com"}))).await;
    assert_eq!((free.status, &free.text), (202, &taken.text));
    assert_eq!(service.event_types_of(owner.id).await.pop().unwrap(), "user.registration.repeated");
    let mails = service.mailed_tokens("owner@example.com").await;
    assert_eq!(mails.len(), 1, "its own registration's only");

    // Taken between the mail and its link: the link is used up, the account keeps what it has.
    let link = service.mailed_token("free@example.com").await;
    service.make_account("free@example.com").await;
    assert_eq!(verify(&service, &link).await, 400);
    let me = service.by(&other, Method::GET, "/v1/me", None).await.json();
    assert_eq!(me["email"], "other@example.com");
    assert_eq!(service.trail_of(other.id).await.last().unwrap(), "change-email failure known-address");
}

/// Whoever had a session for a moment must not take the account with them.
#[tokio::test]
async fn a_change_of_address_that_was_asked_for_ends_with_the_password_and_with_all_sessions() {
    let service = Service::start().await;
    let new = "she hums along to trams";
    for (n, way) in ["reset", "change", "everywhere", "one", "reuse"].into_iter().enumerate() {
        let email = format!("ada{n}@example.com");
        let wanted = format!("thief{n}@example.com");
        let person = service.person(&email).await;
        service.by(&person, Method::POST, "/v1/me/email", Some(&json!({"email": wanted}))).await.expect(202);
        let link = service.mailed_token(&wanted).await;
        match way {
            "reset" => {
                service.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
                let token = service.mailed_token(&email).await;
                let reset = json!({"token": token, "password": new});
                service.post("/v1/auth/password/reset", &reset).await.expect(204);
            }
            "change" => {
                let change = json!({"currentPassword": PASSWORD, "newPassword": new});
                service.by(&person, Method::POST, "/v1/auth/password/change", Some(&change)).await.expect(204);
            }
            "everywhere" => {
                service.by(&person, Method::POST, "/v1/auth/logout-all", None).await.expect(204);
            }
            "one" => {
                let path = format!("/v1/me/sessions/{}", person.session);
                service.by(&service.again(&person).await, Method::DELETE, &path, None).await.expect(204);
            }
            _ => {
                service.refresh(&person.refresh).await.expect(200);
                service.clock.advance(Duration::seconds(11));
                service.refresh(&person.refresh).await.expect(401);
            }
        }
        assert_eq!(verify(&service, &link).await, 400, "{way}");
    }
}
