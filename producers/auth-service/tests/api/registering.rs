use futures_util::future::join_all;
use schemas::{AccountStatus, Envelope, Newest, UserCreatedV2};
use serde_json::{Value, json};
use sqlx::Row;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{PASSWORD, Service, patient};
use auth_service::HashLimits;

#[tokio::test]
async fn a_registration_writes_account_role_and_events_together() {
    let service = Service::start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let request = service
        .request(reqwest::Method::POST, "/v1/auth/register")
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .header("accept-language", "de-AT, en;q=0.7")
        .json(&json!({"email": " Ada@Example.COM", "password": PASSWORD, "displayName": "Ada L."}));
    let answer = service.send(request).await.expect(202);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-request-id"), Some(trace_id));
    assert_eq!(answer.text, r#"{"status":"accepted"}"#);

    let user = sqlx::query("SELECT id, email, status, sequence, created_at FROM users")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    let (id, sequence): (Uuid, i64) = (user.get("id"), user.get("sequence"));
    let created_at: OffsetDateTime = user.get("created_at");
    assert_eq!((user.get("email"), user.get("status")), ("ada@example.com", "active"));
    assert_eq!(id.get_version_num(), 7);

    let role: (Uuid, String) =
        sqlx::query_as("SELECT user_id, role FROM user_roles").fetch_one(&service.pool).await.unwrap();
    assert_eq!(role, (id, "user".to_owned()));

    let events = service.envelopes().await;
    let [(created, data), (requested, mail)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((created.event_type.as_str(), created.source.as_str()), ("user.created", "auth-service"));
    assert_eq!(created.subject, Some(id.to_string()));
    assert_eq!(created.time, Some(created_at));
    assert_eq!(created.trace_id(), Some(trace_id));
    assert_eq!(created.schemaversion, 2);
    let event = UserCreatedV2::read(created.schemaversion, &created.data).unwrap();
    assert_eq!((event.user_id, event.email.as_str(), event.timestamp), (id, "ada@example.com", created_at));
    assert_eq!((event.source.as_str(), event.status), ("auth-service", AccountStatus::Active));
    assert_eq!((event.email_verified, data["displayName"].as_str()), (false, Some("Ada L.")));
    // What the event says of roles is what the table holds.
    assert_eq!(serde_json::to_value(&event.roles).unwrap(), json!(["user"]));

    // The mail is asked for in the person's language, as the account's next version.
    assert_eq!(requested.event_type, "user.email.verification.requested");
    assert!(requested.sequence.unwrap() > created.sequence.unwrap());
    assert_eq!(requested.sequence.unwrap().get(), sequence);
    assert_eq!((mail["locale"].as_str(), mail["email"].as_str()), (Some("de-AT"), Some("ada@example.com")));
    assert_eq!(service.trail_of(id).await, ["register success"]);
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_its_owner_is_told_once_in_an_hour() {
    let service = Service::start().await;
    let first = service.register("ada@example.com").await.expect(202).alike();
    let hash = stored_password(&service).await;
    let id: Uuid = sqlx::query_scalar("SELECT id FROM users").fetch_one(&service.pool).await.unwrap();

    let again = json!({"email": "ada@example.com", "password": "another long passphrase"});
    for minutes in [0, 30, 61, 62, 130] {
        service.clock.advance(Duration::minutes(minutes));
        assert_eq!(service.post("/v1/auth/register", &again).await.expect(202).alike(), first);
    }
    assert_eq!(stored_password(&service).await, hash);
    assert_eq!((service.count("users").await, service.count("user_roles").await), (1, 1));
    // At 0 and 30 minutes the registration's own mail is fresh; at 91 its owner is told, at 153 again, and at 283.
    let repeated = "user.registration.repeated";
    let types = service.event_types_of(id).await;
    assert_eq!(types, ["user.created", "user.email.verification.requested", repeated, repeated, repeated]);
    let known = service.trail_of(id).await.iter().filter(|entry| *entry == "register failure known-address").count();
    assert_eq!(known, 5);
}

#[tokio::test]
async fn a_known_address_keeps_every_row_it_has() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let before = service.rows().await;
    let again = json!({"email": "ada@example.com", "password": "another long passphrase", "displayName": "Eve"});
    service.post("/v1/auth/register", &again).await.expect(202);
    let after = service.rows().await;
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), Vec::<&String>::new());
    let new: Vec<_> = after.difference(&before).collect();
    assert!(matches!(new.as_slice(), [entry] if entry.starts_with("security_audit_logs")), "{new:?}");
}

#[tokio::test]
async fn a_known_address_costs_a_hash_as_a_new_one_does() {
    let service = Service::start().await;
    for email in ["ada@example.com", "ada@example.com", "bob@example.com"] {
        let before = service.hasher.computed();
        service.register(email).await.expect(202);
        assert_eq!(service.hasher.computed(), before + 1, "{email}");
    }
    let without_turns = HashLimits { concurrency: 0, queue: 0, ..patient() };
    let service = Service::over(service.pool, without_turns).await;
    for email in ["ada@example.com", "carol@example.com"] {
        service.register(email).await.expect(503);
    }
}

/// It can cost nearly as much as a hash, so it waits for its turn as one; and it is not looked at where more is wrong.
#[tokio::test]
async fn an_easy_password_is_found_out_in_a_turn_of_those_who_hash_and_costs_no_hash() {
    let service = Service::start().await;
    let register = async |service: &Service, password: &str| {
        service.post("/v1/auth/register", &json!({"email": "ada@example.com", "password": password})).await
    };
    let look_alikes = "4@8({[<3691!|0$5+7%2".repeat(5);
    for (password, status) in [("qwertyuiopasdfghjkl", 422), ("short", 422), (look_alikes.as_str(), 202)] {
        let before = service.hasher.computed();
        register(&service, password).await.expect(status);
        assert_eq!(service.hasher.computed() - before, u64::from(status == 202), "{password}");
    }
    assert_eq!(service.count("users").await, 1);
    let without_turns = HashLimits { concurrency: 0, queue: 0, ..patient() };
    let service = Service::over(service.pool, without_turns).await;
    for (password, status) in [("qwertyuiopasdfghjkl", 503), ("short", 422), (look_alikes.as_str(), 503)] {
        register(&service, password).await.expect(status);
    }
}

async fn stored_password(service: &Service) -> String {
    sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&service.pool).await.unwrap()
}

#[tokio::test]
async fn the_same_address_in_other_spelling_is_the_same_account() {
    let service = Service::start().await;
    for spelling in
        ["zoë@bücher.example", "ZOË@BÜCHER.EXAMPLE", "  zoe\u{308}@xn--bcher-kva.example", "Zoë@bücher\u{3002}example"]
    {
        service.register(spelling).await.expect(202);
    }
    assert_eq!((service.count("users").await, service.count("user_roles").await), (1, 1));
}

#[tokio::test]
async fn a_hundred_at_once_with_one_address_make_one_row_and_one_event() {
    let service = Service::start().await;
    let other = service.another().await;
    let answers =
        join_all((0..100).map(|n| if n % 2 == 0 { &service } else { &other }.register("ada@example.com"))).await;
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
    assert_eq!((service.count("users").await, service.count("user_roles").await), (1, 1));
    let events = service.envelopes().await;
    let types: Vec<_> = events.iter().map(|(envelope, _)| envelope.event_type.as_str()).collect();
    // And one mail, for that one.
    assert_eq!(types, ["user.created", "user.email.verification.requested"]);
}

#[tokio::test]
async fn a_failed_append_leaves_no_account() {
    let service = Service::start().await;
    sqlx::query("DROP TABLE outbox").execute(&service.pool).await.unwrap();
    let answer = service.register("ada@example.com").await.expect(500);
    assert!(!answer.text.contains("outbox") && !answer.text.contains("ada"), "{}", answer.text);
    for table in ["users", "user_roles", "email_verification_tokens", "security_audit_logs", "rate_limits"] {
        assert_eq!(service.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn the_password_is_stored_only_as_argon2id() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let stored = stored_password(&service).await;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    assert!(!service.dump().await.contains(PASSWORD));
}

#[tokio::test]
async fn an_event_says_what_the_mailer_needs_and_nothing_in_clear() {
    let service = Service::start().await;
    service.register("ada@example.com").await.expect(202);
    let token = service.mailed_token("ada@example.com").await;
    assert!(token.starts_with("evt_"), "{token}");
    let (_, mail): (Envelope, Value) = service.envelopes().await.pop().unwrap();
    let names: Vec<_> = mail.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["email", "expiresAt", "requestId", "source", "timestamp", "tokenSealed", "userId"]);
    assert!(!mail.to_string().contains(&token[4..40]));
}
