use std::time::Duration;

use auth_service::HashLimits;
use serde_json::{Value, json};
use service::{postgres::PostgresSettings, settings::AppEnv};

use crate::{PASSWORD, Service, database, patient, world::answer};

#[tokio::test]
async fn a_malformed_request_names_its_field_and_never_its_value() {
    const EMAIL: &str = "ada@example.com";
    let service = Service::start().await;
    let long = "x".repeat(200);
    for (body, wanted) in [
        (json!({"password": PASSWORD}), vec![("email", "is missing")]),
        (json!({"email": EMAIL}), vec![("password", "is missing")]),
        (json!({"email": 5_551_234, "password": PASSWORD}), vec![("email", "should be a string")]),
        (json!({"email": EMAIL, "password": ["hunter2"]}), vec![("password", "should be a string")]),
        (json!({"email": EMAIL, "password": null}), vec![("password", "should be a string")]),
        (
            json!({"email": EMAIL, "password": PASSWORD, "roles": ["hunter2"]}),
            vec![("roles", "is not a field of this request")],
        ),
        (json!({"email": "hunter2", "password": PASSWORD}), vec![("email", "should be one address")]),
        (json!({"email": "hunter2@localhost", "password": PASSWORD}), vec![("email", "should have a domain")]),
        (json!({"email": "hunter2 @example.com", "password": PASSWORD}), vec![("email", "should have a part")]),
        (json!({"email": EMAIL, "password": "hunter2"}), vec![("password", "should have at least 15")]),
        (json!({"email": EMAIL, "password": "hunter2hunter2hunter2"}), vec![("password", "should be harder to guess")]),
        (
            json!({"email": EMAIL, "password": PASSWORD, "displayName": "hunter2\n"}),
            vec![("displayName", "should be 1 to 100")],
        ),
        (json!({"email": EMAIL, "password": format!("hunter2{long}")}), vec![("password", "should have at most 128")]),
        (
            json!({"email": "hunter2@example.com", "password": "xx HUNTER2 xx xx xx"}),
            vec![("password", "should not contain")],
        ),
        (
            json!({"email": "hunter2", "password": "hunter2"}),
            vec![("email", "should be one address"), ("password", "should have at least 15")],
        ),
        // Whether it is easy is looked at once nothing else is wrong.
        (json!({"email": "hunter2", "password": "hunter2hunter2hunter2"}), vec![("email", "should be one address")]),
    ] {
        let text = service.post("/v1/auth/register", &body).await.expect(422).text;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["type"], "urn:waypost:problem:invalid-fields");
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), wanted.len(), "{body}: {text}");
        for (error, (field, message)) in errors.iter().zip(&wanted) {
            assert_eq!(error["field"], *field, "{body}: {text}");
            assert!(error["message"].as_str().unwrap().starts_with(message), "{body}: {text}");
        }
        assert!(!text.to_lowercase().contains("hunter2") && !text.contains("5551234"), "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
    assert_eq!((service.count("users").await, service.count("outbox").await), (0, 0));
}

#[tokio::test]
async fn what_is_no_json_object_of_a_sensible_size_is_refused() {
    let service = Service::start().await;
    let good = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let large = json!({"email": "ada@example.com", "password": "x".repeat(20_000)}).to_string();
    for (content_type, body, status) in [
        ("application/json", r#"{"email": hunter2"#, 400),
        ("application/json", "", 400),
        ("application/json", &json!(["ada@example.com", PASSWORD]).to_string(), 400),
        ("text/plain", &good, 415),
        ("application/json", &large, 413),
    ] {
        let request = service.request(reqwest::Method::POST, "/v1/auth/register");
        let request = request.header("content-type", content_type).body(body.to_owned());
        let answer = service.send(request).await.expect(status);
        assert!(!answer.text.contains("hunter2"));
    }
    let response = service.client.get(format!("{}/v1/auth/register", service.url)).send().await.unwrap();
    let refused = answer(response).await.expect(405);
    assert_eq!(refused.header("allow"), Some("POST"));
    assert_eq!(service.get("/v1/auth/nothing").await.status, 404);
    assert_eq!((service.count("users").await, service.count("outbox").await), (0, 0));
}

#[tokio::test]
async fn a_full_hash_queue_answers_503_with_retry_after_and_costs_no_account_an_attempt() {
    // No turn ever comes: the first waits in vain, and with no queue not even that.
    for queue in [1, 0] {
        let limits = HashLimits { concurrency: 0, queue, wait: Duration::from_millis(50) };
        let service = Service::over(database().await.pool, limits).await;
        let answer = service.register("ada@example.com").await.expect(503);
        assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("overloaded", Some("1")));
        assert_eq!(service.count("users").await, 0);
        service.log_in("ada@example.com", PASSWORD).await.expect(503);
        // Whoever waited was counted before; who is turned away at once has cost the database nothing, and no account an attempt.
        assert_eq!(service.count("rate_limits").await, queue as i64);
    }
}

#[tokio::test]
async fn while_the_database_is_away_a_client_is_told_to_come_back() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgresql://auth_user@{nobody}/auth_db?pool_timeout=1");
    let pool = PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Development).unwrap().connect_lazy("test");
    let service = Service::over(pool, patient()).await;
    let answer = service.register("ada@example.com").await.expect(503);
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("unavailable", Some("1")));
}
