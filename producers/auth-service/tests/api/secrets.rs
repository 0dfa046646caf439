//! What a token or a password must not be found in.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use fixtures::RedisServer;
use reqwest::Method;
use serde_json::json;

use crate::{PASSWORD, Service, caching::connect, recording};

fn hex_digit(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap()
}

/// In its own spelling, and in those that a careless print gives it.
fn spellings(secret: &str) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect::<String>();
    let mut all = vec![
        secret.to_owned(),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        hex(secret.as_bytes()),
    ];
    // The random part by itself, and its bytes.
    if let Some(body) = secret.split_once('_').and_then(|(_, rest)| rest.get(..43)) {
        all.push(body.to_owned());
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(body) {
            all.push(hex(&bytes));
        }
    }
    all
}

#[test]
fn no_table_no_log_line_and_no_metric_holds_a_token_or_a_password() {
    recording::begin();
    // One thread, so that everything that is logged is seen.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (secrets, dump, metrics) = runtime.block_on(async {
        let redis = RedisServer::start().await;
        let service = Service::start().await.limited(1, Some(connect(&redis).await)).await;
        let mut secrets =
            vec![PASSWORD.to_owned(), "she hums along to trams".to_owned(), "not the password".to_owned()];
        // What is refused is not repeated, wherever it stood.
        secrets.push("what a refused field held".to_owned());
        for refused in [
            json!({"email": "what a refused field held", "password": PASSWORD}),
            json!({"email": "lovelace@example.com", "password": ["what a refused field held"]}),
            json!({"email": "lovelace@example.com", "password": PASSWORD, "more": "what a refused field held"}),
        ] {
            let request = service.request(Method::POST, "/v1/auth/login").json(&refused);
            let answer = service.send(request.header("x-forwarded-for", "203.0.113.77")).await.expect(422);
            assert!(!answer.text.contains("what a refused"), "{}", answer.text);
        }
        let person = service.person("lovelace@example.com").await;
        service.log_in("lovelace@example.com", "not the password").await.expect(401);
        let next = service.refresh(&person.refresh).await.expect(200).json();
        service.refresh("rt_hunter2").await.expect(401);
        service.post("/v1/auth/password/forgot", &json!({"email": "lovelace@example.com"})).await.expect(202);
        secrets.extend(service.mailed_tokens("lovelace@example.com").await);
        let reset = service.mailed_token("lovelace@example.com").await;
        let change = json!({"currentPassword": "not the password", "newPassword": "she hums along to trams"});
        service.by(&person, Method::POST, "/v1/auth/password/change", Some(&change)).await.expect(403);
        let late = service.request(Method::GET, &format!("/v1/me?token={reset}")).bearer_auth(&person.access);
        service.send(late).await.expect(200);
        let body = json!({"token": reset, "password": "she hums along to trams"});
        service.post("/v1/auth/password/reset", &body).await.expect(204);
        for name in ["accessToken", "refreshToken"] {
            secrets.push(next[name].as_str().unwrap().to_owned());
        }
        secrets.extend([person.access.clone(), person.refresh.clone()]);
        // A failure whose cause is the database's own words.
        sqlx::query("DROP TABLE sessions CASCADE").execute(&service.pool).await.unwrap();
        service.log_in("lovelace@example.com", "she hums along to trams").await.expect(500);
        let metrics = service.client.get(format!("{}/metrics", service.internal_url)).send().await.unwrap();
        let kept = redis.say("KEYS *").await;
        assert!(kept.contains("rl:login-ip:"), "{kept}");
        (secrets, service.dump().await, metrics.text().await.unwrap())
    });
    let log = recording::log();
    assert!(log.contains("/v1/auth/login") && log.len() > 10_000, "the log was taken: {}", log.len());
    assert!(log.contains("a request failed"), "{log}");
    assert!(secrets.len() >= 9);
    for secret in &secrets {
        for spelling in spellings(secret) {
            for (place, text) in [("tables", &dump), ("log", &log), ("metrics", &metrics)] {
                let line = text.lines().find(|line| line.contains(&spelling));
                assert!(line.is_none(), "{place}: {spelling}: {line:?}");
            }
        }
    }
    // Nor does the log know whom it tells of, or where they are.
    for personal in ["lovelace", "203.0.113.77"] {
        let line = log.lines().find(|line| line.contains(personal));
        assert!(line.is_none(), "{line:?}");
    }
}
