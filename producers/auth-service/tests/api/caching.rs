//! Data of users in Redis: found, right, gone in time, and never needed.

use fixtures::{RedisServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use service::{
    redis::{Redis, RedisSettings},
    settings::AppEnv,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Service,
    world::{PASSWORD, Person},
};

/// Waits for a Redis that is there, however busy the machine is.
pub async fn connect(server: &RedisServer) -> Redis {
    let settings = RedisSettings::from_url("REDIS_URL", &server.url(), AppEnv::Development).unwrap();
    Redis::connect(settings.waiting(fixtures::DEADLINE)).await
}

async fn me(service: &Service, person: &Person) -> Value {
    service.by(person, Method::GET, "/v1/me", None).await.expect(200).json()
}

async fn kept(server: &RedisServer, key: &str) -> Option<String> {
    let answer = server.say(&format!("GET {key}")).await;
    let value = answer.lines().nth(1)?;
    value.contains('{').then(|| value.to_owned())
}

#[tokio::test]
async fn a_profile_that_was_read_is_kept_and_served_without_its_status() {
    let server = RedisServer::start().await;
    let service = Service::start().await.with_redis(connect(&server).await).await;
    let ada = service.person("ada@example.com").await;
    let first = me(&service, &ada).await;
    for key in [format!("user:id:{}", ada.id), "user:email:ada@example.com".to_owned()] {
        let kept = kept(&server, &key).await.unwrap_or_else(|| panic!("{key} is not kept"));
        assert!(kept.contains("ada@example.com") && !kept.contains("active") && !kept.contains("argon2"), "{kept}");
        let left: u64 = server.say(&format!("PTTL {key}")).await.trim_start_matches(':').parse().unwrap();
        assert!((800_000..=900_000).contains(&left), "{left}");
    }
    // What is kept is what is served: a mark in it comes out.
    let key = format!("user:id:{}", ada.id);
    let marked = kept(&server, &key).await.unwrap().replace("null", r#""from-redis""#);
    server.set(&key, &marked).await;
    assert_eq!(me(&service, &ada).await["displayName"], "from-redis");
    assert_eq!(first["displayName"], Value::Null);
}

#[tokio::test]
async fn every_change_is_seen_at_once_and_by_every_instance() {
    let server = RedisServer::start().await;
    let one = Service::start().await.with_redis(connect(&server).await).await;
    let other = one.with_redis(connect(&server).await).await;
    let (ada, admin) = (one.person("ada@example.com").await, one.administrator("admin@example.com").await);
    assert_eq!(me(&other, &ada).await["roles"], json!(["user"]));
    let role = format!("/v1/admin/users/{}/roles/admin", ada.id);
    one.by(&admin, Method::PUT, &role, None).await.expect(204);
    let ada = other.again(&ada).await;
    assert_eq!(me(&other, &ada).await["roles"], json!(["admin", "user"]));

    one.by(&ada, Method::POST, "/v1/me/email", Some(&json!({"email": "lovelace@example.com"}))).await.expect(202);
    let token = one.mailed_token("lovelace@example.com").await;
    one.post("/v1/auth/email/verify", &json!({"token": token})).await.expect(204);
    assert_eq!(me(&other, &ada).await["email"], "lovelace@example.com");
    eventually("what was kept under the old address is forgotten", async || {
        kept(&server, "user:email:ada@example.com").await.is_none().then_some(())
    })
    .await;
    let by_address = async |service: &Service, email: &str| {
        let path = format!("/v1/admin/users?email={email}");
        service.by(&admin, Method::GET, &path, None).await.expect(200).json()["items"].clone()
    };
    assert_eq!(by_address(&other, "ada@example.com").await, json!([]));
    assert_eq!(by_address(&other, "lovelace@example.com").await[0]["userId"], json!(ada.id));

    // By somebody else's address, as it is now.
    let deactivate = format!("/v1/admin/users/{}/deactivate", ada.id);
    one.by(&admin, Method::POST, &deactivate, None).await.expect(204);
    other.by(&ada, Method::GET, "/v1/me", None).await.expect(401);
    assert_eq!(by_address(&other, "lovelace@example.com").await[0]["status"], "deactivated");
}

/// Changes that Redis did not hear of: the one who makes them has none, or it was away.
#[tokio::test]
async fn what_redis_was_not_told_of_is_right_all_the_same() {
    let server = RedisServer::start().await;
    let without = Service::start().await;
    let with = without.with_redis(connect(&server).await).await;
    let (ada, admin) = (with.person("ada@example.com").await, without.administrator("admin@example.com").await);
    me(&with, &ada).await;
    let role = format!("/v1/admin/users/{}/roles/admin", ada.id);
    without.by(&admin, Method::PUT, &role, None).await.expect(204);
    let kept = kept(&server, &format!("user:id:{}", ada.id)).await.unwrap();
    assert!(!kept.contains("admin"), "the old one is still there: {kept}");
    let ada = with.again(&ada).await;
    assert_eq!(me(&with, &ada).await["roles"], json!(["admin", "user"]));
}

#[tokio::test]
async fn nothing_of_an_erased_account_is_kept_and_nobody_puts_it_back() {
    let server = RedisServer::start().await;
    let service = Service::start().await.with_redis(connect(&server).await).await;
    let ada = service.person("ada@example.com").await;
    me(&service, &ada).await;
    let key = format!("user:id:{}", ada.id);
    assert!(kept(&server, &key).await.is_some());
    service.by(&ada, Method::DELETE, "/v1/me", None).await.expect(202);
    for key in [key.as_str(), "user:email:ada@example.com"] {
        assert_eq!(kept(&server, key).await, None);
    }
    // Whoever has the address next is somebody else, and is served as such.
    let next = service.person("ada@example.com").await;
    assert_eq!(me(&service, &next).await["userId"], json!(next.id));
}

/// Stopped, started again empty, hung and released, while people go on asking.
#[tokio::test]
async fn requests_succeed_whatever_redis_does_and_health_says_so() {
    let mut server = RedisServer::start().await;
    let settings = RedisSettings::from_url("REDIS_URL", &server.url(), AppEnv::Development).unwrap();
    let redis = Redis::connect(settings).await;
    let soft = CancellationToken::new();
    tokio::spawn(redis.clone().keep(soft.clone()));
    let service = Service::start().await.with_redis(redis).await;
    let ada = service.person("ada@example.com").await;
    let health = async |wanted: &str| {
        eventually(&format!("health says {wanted}"), async || {
            let ready = service.client.get(format!("{}/readyz", service.internal_url)).send().await.unwrap();
            assert_eq!(ready.status(), 200, "it is ready without Redis too");
            let ready: Value = ready.json().await.unwrap();
            (ready["status"] == wanted).then_some(())
        })
        .await;
    };
    let everybody_is_served = async || {
        let reading = (0..20).map(async |_| {
            assert_eq!(me(&service, &ada).await["email"], "ada@example.com");
        });
        futures_util::future::join_all(reading).await;
        service.log_in("ada@example.com", PASSWORD).await.expect(200);
    };
    health("ok").await;
    everybody_is_served().await;
    server.stop();
    everybody_is_served().await;
    health("degraded").await;
    server.start_again().await;
    health("ok").await;
    everybody_is_served().await;
    server.hang();
    everybody_is_served().await;
    health("degraded").await;
    everybody_is_served().await;
    server.go_on();
    health("ok").await;
    everybody_is_served().await;
    // Somebody whom the process has not read a moment ago.
    let bob = service.person("bob@example.com").await;
    eventually("it is taken up again", async || {
        assert_eq!(me(&service, &bob).await["email"], "bob@example.com");
        kept(&server, &format!("user:id:{}", bob.id)).await
    })
    .await;
    soft.cancel();
}
