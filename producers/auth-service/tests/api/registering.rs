use std::collections::BTreeMap;

use auth_service::HashLimits;
use futures_util::future::join_all;
use reqwest::Response;
use schemas::{AccountStatus, Envelope, Newest, UserCreatedV2};
use serde_json::json;
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PASSWORD, Service, header, patient};

#[tokio::test]
async fn a_registration_writes_account_role_and_event_together() {
    let service = Service::start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let response = service
        .client
        .post(format!("{}/v1/auth/register", service.url))
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&json!({"email": " Ada@Example.COM", "password": PASSWORD}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(response.text().await.unwrap(), r#"{"status":"accepted"}"#);

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

    let body: String = sqlx::query_scalar("SELECT envelope FROM outbox WHERE status = 'pending'")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    let (envelope, key) = Envelope::read(&body).unwrap();
    assert_eq!(envelope.id, key.to_string());
    assert_eq!((envelope.event_type.as_str(), envelope.source.as_str()), ("user.created", "auth-service"));
    assert_eq!(envelope.subject, Some(id.to_string()));
    assert_eq!(envelope.sequence.unwrap().get(), sequence);
    assert_eq!(envelope.time, Some(created_at));
    assert_eq!(envelope.trace_id(), Some(trace_id));
    assert_eq!(envelope.schemaversion, 2);
    let event = UserCreatedV2::read(envelope.schemaversion, &envelope.data).unwrap();
    assert_eq!((event.user_id, event.email.as_str(), event.timestamp), (id, "ada@example.com", created_at));
    assert_eq!((event.source.as_str(), event.status), ("auth-service", AccountStatus::Active));
    assert!(!event.email_verified && event.display_name.is_none());
    // What the event says of roles is what the table holds.
    assert_eq!(serde_json::to_value(&event.roles).unwrap(), json!(["user"]));
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_writes_nothing() {
    let service = Service::start().await;
    let first = everything(service.register("ada@example.com").await).await;
    let hash = stored_password(&service).await;

    let second = service.post(&json!({"email": "ada@example.com", "password": "another long password"})).await;
    assert_eq!(everything(second).await, first);
    assert_eq!(service.counts().await, (1, 1, 1));
    assert_eq!(stored_password(&service).await, hash);
}

#[tokio::test]
async fn a_known_address_costs_a_hash_as_a_new_one_does() {
    let service = Service::start().await;
    service.register("ada@example.com").await;

    let without_turns = HashLimits { concurrency: 0, queue: 0, ..patient() };
    let service = Service::over(service.pool, without_turns).await;
    for email in ["ada@example.com", "bob@example.com"] {
        assert_eq!(service.register(email).await.status(), 503, "{email} was answered without a hash");
    }
}

/// All that the client gets to see, but for what differs between any two answers.
async fn everything(response: Response) -> (u16, BTreeMap<String, String>, Vec<u8>) {
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "x-request-id")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (response.status().as_u16(), headers, response.bytes().await.unwrap().to_vec())
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
        assert_eq!(service.register(spelling).await.status(), 202, "{spelling}");
    }
    assert_eq!(service.counts().await, (1, 1, 1));
}

#[tokio::test]
async fn many_at_once_with_one_address_make_one_account() {
    let service = Service::start().await;
    let answers = join_all((0..20).map(|_| service.register("ada@example.com"))).await;
    assert!(answers.iter().all(|answer| answer.status() == 202), "{answers:?}");
    assert_eq!(service.counts().await, (1, 1, 1));
}

#[tokio::test]
async fn a_failed_append_leaves_no_account() {
    let service = Service::start().await;
    sqlx::query("DROP TABLE outbox").execute(&service.pool).await.unwrap();
    let response = service.register("ada@example.com").await;
    assert_eq!(response.status(), 500);
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    let body = response.text().await.unwrap();
    assert!(!body.contains("outbox") && !body.contains("ada"), "{body}");
    assert_eq!((service.count("users").await, service.count("user_roles").await), (0, 0));
}

#[tokio::test]
async fn the_password_is_stored_only_as_argon2id() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    let stored = stored_password(&service).await;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    for table in ["users", "user_roles", "outbox"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT row_to_json({table})::text FROM {table}"));
        let row: String = sqlx::query_scalar(sql).fetch_one(&service.pool).await.unwrap();
        assert!(!row.contains(PASSWORD), "{table}: {row}");
    }
}
