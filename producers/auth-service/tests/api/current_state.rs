//! What is told of accounts as they are, for whoever has lost it.

use auth_service::current_state::{TELLS, count_after, page};
use reqwest::Method;
use schemas::{BackfillRun, Clock, Envelope, SchemaEntry};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Service;

struct Told {
    event: String,
    sequence: i64,
    data: Value,
}

fn run() -> BackfillRun {
    BackfillRun::begin(Clock::system().now())
}

fn told(envelope: &Envelope) -> Told {
    let data: Value = serde_json::from_str(envelope.data.get()).unwrap();
    let entry = SchemaEntry::find(&envelope.event_type, envelope.schemaversion).unwrap();
    assert!(TELLS.contains(&entry.event_type), "{}", envelope.event_type);
    assert_eq!(envelope.source, "auth-service");
    Told { event: envelope.event_type.clone(), sequence: envelope.sequence.unwrap().get(), data }
}

async fn told_of(service: &Service, account: Uuid) -> Vec<Told> {
    let page = page(&service.pool, run(), None, 1_000).await.unwrap();
    let (_, envelopes) = page.iter().find(|(id, _)| *id == account).unwrap();
    envelopes.iter().map(told).collect()
}

async fn sequence_of(service: &Service, account: Uuid) -> i64 {
    sqlx::query_scalar("SELECT sequence FROM users WHERE id = $1").bind(account).fetch_one(&service.pool).await.unwrap()
}

fn names(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.event.as_str()).collect()
}

#[tokio::test]
async fn an_account_in_use_is_told_as_it_is_with_the_version_of_its_row() {
    let service = Service::start().await;
    let body = json!({"email": "ada@example.com", "password": crate::PASSWORD, "displayName": "Ada"});
    service.post("/v1/auth/register", &body).await.expect(202);
    let id: Uuid = sqlx::query_scalar("SELECT id FROM users").fetch_one(&service.pool).await.unwrap();
    let [(_, created), ..] = &service.events_of(id).await[..] else { panic!("nothing was told") };
    let told = told_of(&service, id).await;
    assert_eq!(names(&told), ["user.created"]);
    assert_eq!((&told[0].data, told[0].sequence), (created, sequence_of(&service, id).await));

    let token = service.mailed_token("ada@example.com").await;
    service.post("/v1/auth/email/verify", &json!({"token": token})).await.expect(204);
    let admin = service.administrator("admin@example.com").await;
    service.by(&admin, Method::PUT, &format!("/v1/admin/users/{id}/roles/admin"), None).await.expect(204);
    let told = told_of(&service, id).await;
    assert_eq!(names(&told), ["user.created", "user.sessions.revoked"]);
    let data = &told[0].data;
    assert_eq!((&data["emailVerified"], &data["roles"]), (&json!(true), &json!(["admin", "user"])));
    assert_eq!((&data["displayName"], &data["timestamp"]), (&json!("Ada"), &created["timestamp"]));
    assert_eq!(told[1].data["minTokenVersion"], 2);
    let sequence = sequence_of(&service, id).await;
    assert_eq!((told[0].sequence, told[1].sequence), (sequence, sequence));
}

#[tokio::test]
async fn a_deactivated_account_is_told_with_the_reason_and_in_that_order() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let (own, decided) = (service.person("own@example.com").await, service.person("decided@example.com").await);
    service.by(&own, Method::POST, "/v1/me/deactivate", None).await.expect(204);
    let path = |verb: &str| format!("/v1/admin/users/{}/{verb}", decided.id);
    service.by(&admin, Method::POST, &path("deactivate"), None).await.expect(204);
    for (account, reason) in [(own.id, "own-request"), (decided.id, "admin-decision")] {
        let told = told_of(&service, account).await;
        assert_eq!(names(&told), ["user.created", "user.deactivated"]);
        let deactivated = &told[1].data;
        let (_, event) = service.events_of(account).await.pop().unwrap();
        assert_eq!(*deactivated, event, "the reason, the token version and the time are those that were told then");
        assert_eq!((&deactivated["reason"], &told[0].data["status"]), (&json!(reason), &json!("deactivated")));
        let sequence = sequence_of(&service, account).await;
        assert_eq!((told[0].sequence, told[1].sequence), (sequence - 1, sequence));
    }
    service.by(&admin, Method::POST, &path("reactivate"), None).await.expect(204);
    let told = told_of(&service, decided.id).await;
    assert_eq!(names(&told), ["user.created", "user.sessions.revoked"]);
    assert_eq!(told[0].data["status"], "active");
    let kept = "SELECT deactivation_reason FROM users WHERE id = $1";
    let kept: Option<String> = sqlx::query_scalar(kept).bind(decided.id).fetch_one(&service.pool).await.unwrap();
    assert_eq!(kept, None);
}

/// Code that is older did not keep the reason, but wrote it into the trail.
#[tokio::test]
async fn a_reason_that_is_not_kept_is_that_of_the_trail_or_unknown() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    service.by(&person, Method::POST, "/v1/me/deactivate", None).await.expect(204);
    let forget = "UPDATE users SET deactivation_reason = NULL";
    sqlx::query(forget).execute(&service.pool).await.unwrap();
    assert_eq!(told_of(&service, person.id).await[1].data["reason"], "own-request");
    let forget = "ALTER TABLE security_audit_logs DISABLE TRIGGER USER; DELETE FROM security_audit_logs";
    sqlx::raw_sql(forget).execute(&service.pool).await.unwrap();
    assert_eq!(told_of(&service, person.id).await[1].data["reason"], "unknown");
}

#[tokio::test]
async fn an_erased_account_is_told_as_it_was_told_then_and_by_nothing_else() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    service.by(&person, Method::DELETE, "/v1/me", None).await.expect(202);
    let told = told_of(&service, person.id).await;
    assert_eq!(names(&told), ["user.deleted"]);
    let (_, event) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!((&told[0].data, told[0].sequence), (&event, sequence_of(&service, person.id).await));
}

#[tokio::test]
async fn pages_have_every_account_once_in_the_order_of_their_ids() {
    let service = Service::start().await;
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at)
         SELECT gen_random_uuid(), 'user' || n || '@example.com', 'none', n, now(), now() FROM generate_series(1, 25) n",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    let (run, mut after, mut seen, mut ids) = (run(), None, Vec::new(), Vec::new());
    loop {
        assert_eq!(count_after(&service.pool, after).await.unwrap(), 25 - seen.len() as i64);
        let page = page(&service.pool, run, after, 10).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        ids.extend(page.iter().flat_map(|(_, envelopes)| envelopes.iter().map(|envelope| envelope.id.clone())));
        seen.extend(page.into_iter().map(|(id, _)| id));
    }
    let all: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users ORDER BY id").fetch_all(&service.pool).await.unwrap();
    assert_eq!(seen, all);
    let again = page(&service.pool, run, None, 100).await.unwrap();
    let again: Vec<_> = again.iter().flat_map(|(_, envelopes)| envelopes.iter().map(|envelope| &envelope.id)).collect();
    assert_eq!(again, ids.iter().collect::<Vec<_>>(), "the same run sends the same events");
}
