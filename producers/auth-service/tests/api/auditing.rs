use auth_service::{Retention, retention};
use reqwest::Method;
use serde_json::{Value, json};
use service::postgres::Pool;
use time::{Duration, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{PASSWORD, Service, world::Person};

async fn read(service: &Service, admin: &Person, query: &str) -> Value {
    service.by(admin, Method::GET, &format!("/v1/admin/audit{query}"), None).await.expect(200).json()
}

#[tokio::test]
async fn the_trail_is_read_in_pages_and_by_who_what_and_when_and_holds_no_address() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    service.log_in("ada@example.com", "not the password").await.expect(401);
    service.log_in("nobody@example.com", PASSWORD).await.expect(401);
    service.clock.advance(Duration::minutes(1));
    let late = service.clock.now();
    service.clock.advance(Duration::minutes(1));
    let admin = service.again(&admin).await;

    let actions = |body: &Value| -> Vec<String> {
        let items = body["items"].as_array().unwrap().iter();
        items.map(|item| item["action"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = read(&service, &admin, &query).await;
        seen.extend(actions(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=3&after={next}");
    }
    let whole = read(&service, &admin, "?limit=200").await;
    assert_eq!(seen, actions(&whole));
    assert_eq!(seen.len() as i64, service.count("security_audit_logs").await);
    assert!(!whole.to_string().contains("example.com"), "{whole}");

    let about = read(&service, &admin, &format!("?user={}", person.id)).await;
    assert_eq!(actions(&about), ["log-in", "log-in", "verify-email", "register"]);
    let failed = read(&service, &admin, "?action=log-in&outcome=failure").await;
    let reasons: Vec<_> = failed["items"].as_array().unwrap().iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons, ["unknown-address", "wrong-password"]);
    assert_eq!(failed["items"][1]["ip"], "127.0.0.1");
    let since = late.format(&Rfc3339).unwrap();
    assert_eq!(actions(&read(&service, &admin, &format!("?since={since}")).await), ["log-in"]);
    assert_eq!(
        read(&service, &admin, &format!("?until={since}")).await["items"].as_array().unwrap().len(),
        seen.len() - 1
    );
    let wrong = service.by(&admin, Method::GET, "/v1/admin/audit?since=yesterday", None).await.expect(422);
    assert_eq!(wrong.json()["errors"][0]["field"], "since");
}

#[tokio::test]
async fn the_trail_holds_the_client_behind_a_trusted_proxy_and_nobody_elses_story() {
    const TOLD: &str = "198.51.100.1, 203.0.113.7, 127.0.0.2";
    let strangers = Service::start().await;
    let ours = strangers.with_environment(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let admin = strangers.administrator("admin@example.com").await;
    for (service, address) in [(&ours, "203.0.113.7"), (&strangers, "127.0.0.1")] {
        let login = service.request(Method::POST, "/v1/auth/login").header("x-forwarded-for", TOLD);
        service.send(login.json(&json!({"email": "nobody@example.com", "password": PASSWORD}))).await.expect(401);
        let trail = read(service, &admin, "?action=log-in&outcome=failure&limit=1").await;
        assert_eq!(trail["items"][0]["ip"], address);
    }
}

#[tokio::test]
async fn the_trail_can_not_be_rewritten() {
    let service = Service::start().await;
    service.make_account("ada@example.com").await;
    for statement in [
        "UPDATE security_audit_logs SET outcome = 'failure'",
        "UPDATE security_audit_logs SET actor_id = gen_random_uuid()",
        "UPDATE security_audit_logs SET ip = '203.0.113.9'",
        "UPDATE security_audit_logs SET user_agent = 'another'",
        "DELETE FROM security_audit_logs",
        "TRUNCATE security_audit_logs",
    ] {
        let error = sqlx::query(statement).execute(&service.pool).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    // Less may be said of where somebody was.
    sqlx::query("UPDATE security_audit_logs SET ip = network(set_masklen(ip, 24)), user_agent = NULL")
        .execute(&service.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_too_old_is_taken_away_and_what_is_not_stays() {
    let service = Service::start().await;
    service.person("ada@example.com").await;
    service.log_in("nobody@example.com", PASSWORD).await.expect(401);
    let pool = Pool::new(service.pool.clone());
    let take = async || {
        retention::take_away(&pool, Retention { audit: Duration::days(400) }, service.clock.now()).await.unwrap()
    };
    assert_eq!(take().await, retention::TakenAway::default());

    service.clock.advance(Duration::days(8));
    let taken = take().await;
    // The verification's token ended a day after the registration; the counters are of before twelve hours.
    assert_eq!((taken.mailed_tokens, taken.sessions, taken.ips), (1, 0, 0));
    assert!(taken.counters >= 2, "{taken:?}");
    service.clock.advance(Duration::days(30));
    let taken = take().await;
    assert_eq!(taken.sessions, 1);
    assert_eq!((service.count("refresh_tokens").await, service.count("sessions").await), (0, 0));
    assert_eq!(taken.ips as i64, service.count("security_audit_logs").await);
    let ips: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT ip::text FROM security_audit_logs").fetch_all(&service.pool).await.unwrap();
    assert_eq!(ips, ["127.0.0.0/24"]);
    assert_eq!(take().await, retention::TakenAway::default());

    // The database goes by its own clock there: a row of the past, then.
    sqlx::query("INSERT INTO security_audit_logs (id, at, action, outcome, request_id) VALUES ($1, now() - interval '401 days', 'log-in', 'success', 'x')")
        .bind(Uuid::from_u128(1))
        .execute(&service.pool)
        .await
        .unwrap();
    let before = service.count("security_audit_logs").await;
    let now = service.clock.now() - Duration::days(38);
    let taken = retention::take_away(&pool, Retention::default(), now).await.unwrap();
    assert_eq!((taken.audit, service.count("security_audit_logs").await), (1, before - 1));
    assert_eq!(service.count("users").await, 1);
}
