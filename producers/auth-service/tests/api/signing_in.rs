use auth_service::VerificationRule;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use crate::{PASSWORD, Service, database, described::Answer, patient, recording, world::Person};

#[tokio::test]
async fn signing_in_gives_tokens_and_a_session_that_say_nothing_of_the_person() {
    let service = Service::start().await;
    let id = service.make_account("ada@example.com").await;
    let request = service
        .request(Method::POST, "/v1/auth/login")
        .json(&json!({"email": "ADA@example.com", "password": PASSWORD}));
    let request = request.header("user-agent", "a browser");
    let body = service.send(request).await.expect(200).json();
    assert_eq!((&body["tokenType"], &body["expiresIn"]), (&json!("Bearer"), &json!(600)));

    let claims = claims(&body);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://auth.example.com"), &json!("waypost")));
    assert_eq!((&claims["sub"], &claims["sid"]), (&json!(id), &body["sessionId"]));
    assert_eq!((&claims["roles"], &claims["ver"]), (&json!(["user"]), &json!(1)));
    let (exp, iat) = (claims["exp"].as_i64().unwrap(), claims["iat"].as_i64().unwrap());
    assert_eq!((exp - iat, claims["auth_time"].as_i64()), (600, Some(iat)));
    let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "nbf", "roles", "sid", "sub", "ver"];
    assert_eq!(names, wanted);
    assert!(!claims.to_string().contains("ada"));

    let person = Person::from(id, "ada@example.com", &body);
    let me = service.by(&person, Method::GET, "/v1/me", None).await.expect(200).json();
    assert_eq!((&me["email"], &me["emailVerified"]), (&json!("ada@example.com"), &json!(true)));
    assert_eq!(service.trail_of(id).await, ["register success", "verify-email success", "log-in success"]);
}

/// What the access token of an answer says.
fn claims(body: &Value) -> Value {
    let payload = body["accessToken"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Every way in which somebody is not let in: same answer, one hash, one entry in the trail.
#[tokio::test]
async fn whoever_is_not_let_in_gets_one_answer_and_costs_one_hash_whatever_the_reason() {
    let service = Service::start().await;
    service.make_account("ada@example.com").await;
    service.register("unverified@example.com").await.expect(202);
    let deactivated = service.person("deactivated@example.com").await;
    service.by(&deactivated, Method::POST, "/v1/me/deactivate", None).await.expect(204);
    service.make_account("locked@example.com").await;
    for _ in 0..10 {
        service.log_in("locked@example.com", "not the password").await.expect(401);
    }

    let mut answers = Vec::new();
    for (email, password, reason) in [
        ("nobody@example.com", PASSWORD, "unknown-address"),
        ("ada@example.com", "not the password", "wrong-password"),
        ("ada@example.com", "", "wrong-password"),
        ("unverified@example.com", PASSWORD, "not-verified"),
        ("unverified@example.com", "not the password", "wrong-password"),
        ("deactivated@example.com", PASSWORD, "deactivated"),
        ("locked@example.com", PASSWORD, "locked"),
        ("locked@example.com", "not the password", "locked"),
    ] {
        let (hashes, entries) = (service.hasher.computed(), service.count("security_audit_logs").await);
        let answer = service.log_in(email, password).await.expect(401);
        assert_eq!(service.hasher.computed(), hashes + 1, "{email} {reason}");
        assert_eq!(service.count("security_audit_logs").await, entries + 1, "{email} {reason}");
        let newest: String =
            sqlx::query_scalar("SELECT reason FROM security_audit_logs ORDER BY at DESC, id DESC LIMIT 1")
                .fetch_one(&service.pool)
                .await
                .unwrap();
        assert_eq!(newest, reason, "{email}");
        answers.push(answer.alike());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    let hashes = service.hasher.computed();
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(service.hasher.computed(), hashes + 1, "success");
}

#[tokio::test]
async fn where_verification_is_optional_an_unverified_address_signs_in() {
    let service = Service::with(database().await.pool, patient(), VerificationRule::Optional).await;
    service.register("ada@example.com").await.expect(202);
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn ten_wrong_passwords_lock_for_a_minute_and_each_further_one_for_longer() {
    let service = Service::start().await;
    service.make_account("ada@example.com").await;
    let wrong = async || service.log_in("ada@example.com", "not the password").await.expect(401);
    for _ in 0..9 {
        wrong().await;
    }
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
    // A success starts anew.
    for _ in 0..10 {
        wrong().await;
    }
    for minutes in [1, 2, 4, 8, 15, 15] {
        service.log_in("ada@example.com", PASSWORD).await.expect(401);
        service.clock.advance(Duration::minutes(minutes) - Duration::seconds(5));
        service.log_in("ada@example.com", PASSWORD).await.expect(401);
        service.clock.advance(Duration::seconds(6));
        wrong().await;
    }
    service.clock.advance(Duration::minutes(16));
    service.log_in("ada@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn parallel_guesses_are_looked_at_no_more_often_than_the_count_allows() {
    let service = Service::start().await;
    let other = service.another().await;
    service.make_account("ada@example.com").await;
    let guesses = (0..40).map(|n| {
        let service = if n % 2 == 0 { &service } else { &other };
        async move { service.log_in("ada@example.com", "not the password").await.expect(401) }
    });
    join_all(guesses).await;
    let looked_at: i64 = sqlx::query_scalar("SELECT count(*) FROM security_audit_logs WHERE reason = 'wrong-password'")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert_eq!(looked_at, 10);
}

#[tokio::test]
async fn after_a_hundred_wrong_passwords_only_a_reset_helps() {
    let service = Service::start().await;
    let id = service.make_account("ada@example.com").await;
    service.log_in("ada@example.com", "not the password").await.expect(401);
    // The ninety-eight that would follow, each after its lock.
    sqlx::query("UPDATE rate_limits SET count = 99, locked_until = NULL WHERE key LIKE 'login:%'")
        .execute(&service.pool)
        .await
        .unwrap();
    service.log_in("ada@example.com", "not the password").await.expect(401);
    service.clock.advance(Duration::days(20));
    service.log_in("ada@example.com", PASSWORD).await.expect(401);
    assert_eq!(service.trail_of(id).await.last().unwrap(), "log-in failure locked");

    service.post("/v1/auth/password/forgot", &json!({"email": "ada@example.com"})).await.expect(202);
    let token = service.mailed_token("ada@example.com").await;
    let reset = json!({"token": token, "password": "she hums along to trams"});
    service.post("/v1/auth/password/reset", &reset).await.expect(204);
    service.log_in("ada@example.com", "she hums along to trams").await.expect(200);
}

/// Somebody signs in with the right password and waits for the account's row, whose holder does `change` and commits.
async fn sign_in_that_waits(service: &Service, id: Uuid, change: &[&'static str]) -> Answer {
    let mut changing = service.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *changing).await.unwrap();
    let change = async {
        fixtures::eventually("somebody waits for the row", async || {
            let waiting: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
            )
            .fetch_one(&service.pool)
            .await
            .unwrap();
            waiting.then_some(())
        })
        .await;
        for statement in change {
            sqlx::query(*statement).bind(id).execute(&mut *changing).await.unwrap();
        }
        changing.commit().await.unwrap();
    };
    futures_util::future::join(service.log_in("ada@example.com", PASSWORD), change).await.0
}

/// Hashing takes its time, and so may waiting for the row.
#[tokio::test]
async fn a_password_that_is_replaced_while_it_is_looked_at_lets_nobody_in() {
    let service = Service::start().await;
    let id = service.make_account("ada@example.com").await;
    service.make_account("bob@example.com").await;
    let replace = "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE email = 'bob@example.com') WHERE id = $1";
    sign_in_that_waits(&service, id, &[replace]).await.expect(401);
    assert_eq!(service.count("sessions").await, 0);
    assert_eq!(service.trail_of(id).await.last().unwrap(), "log-in failure changed-meanwhile");
}

/// Roles are read with the row that is waited for, and would else be those from before the wait.
#[tokio::test]
async fn a_role_that_is_taken_while_a_sign_in_waits_is_not_in_its_token() {
    let service = Service::start().await;
    let id = service.administrator("ada@example.com").await.id;
    let before = service.count("sessions").await;
    let take = [
        "DELETE FROM user_roles WHERE user_id = $1 AND role = 'admin'",
        "UPDATE users SET min_token_version = min_token_version + 1 WHERE id = $1",
    ];
    let body = sign_in_that_waits(&service, id, &take).await.expect(200).json();
    let claims = claims(&body);
    assert_eq!((&claims["roles"], &claims["ver"]), (&json!(["user"]), &json!(3)));
    assert_eq!(service.count("sessions").await, before + 1);
    // What else becomes of an account is no reason to look again, and none to refuse anybody.
    let rename = ["UPDATE users SET display_name = 'Ada', sequence = sequence + 1 WHERE id = $1"];
    sign_in_that_waits(&service, id, &rename).await.expect(200);
    assert_eq!(service.count("rate_limits").await, 2, "the letters that registering counted, and no attempt");
}

#[tokio::test]
async fn keys_are_published_for_whoever_checks_tokens_and_no_private_part_with_them() {
    let service = Service::start().await;
    recording::begin();
    let answer = service.get("/.well-known/jwks.json").await.expect(200);
    // Machines ask for it all the time, so the access log has it at debug.
    let log = recording::log();
    let line = log.lines().find(|line| line.contains("answered")).unwrap();
    assert!(line.contains(" DEBUG "), "{line}");
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let keys = body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let names: Vec<_> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);

    // Rotated by its age: the next one is published, then it signs, and tokens of both are good.
    let before = service.person("ada@example.com").await;
    service.clock.advance(Duration::days(30));
    service.make_weeks().await;
    service.keys.refresh(service.clock.now()).unwrap();
    let keys = service.get("/.well-known/jwks.json").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    service.clock.advance(Duration::minutes(15));
    let early = service.person("bob@example.com").await;
    service.clock.advance(Duration::minutes(6));
    let late = service.person("carol@example.com").await;
    let kid = |person: &Person| {
        let header = person.access.split('.').next().unwrap().to_owned();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    };
    assert_eq!(kid(&before), kid(&early));
    assert_ne!(kid(&early), kid(&late));
    for person in [&early, &late] {
        service.by(person, Method::GET, "/v1/me", None).await.expect(200);
    }
    service.by(&before, Method::GET, "/v1/me", None).await.expect(401);
    // An instance that reads the same folder signs with the same.
    let other = service.another().await;
    assert_eq!(kid(&other.again(&late).await), kid(&late));
}
