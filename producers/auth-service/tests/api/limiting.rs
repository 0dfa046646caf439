//! How often anybody may ask for what: every rule, by every way there is around it.

use std::time::{Duration, Instant};

use fixtures::RedisServer;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    Service,
    caching::connect,
    described::Answer,
    world::{PASSWORD, Person},
};

/// A request from an address, as the proxy in front of the service tells it.
fn from(request: RequestBuilder, address: &str) -> RequestBuilder {
    request.header("x-forwarded-for", address)
}

async fn post_from(service: &Service, address: &str, path: &str, body: &Value) -> Answer {
    service.send(from(service.request(Method::POST, path).json(body), address)).await
}

/// Asks until it is refused; answers how often it was not, and the refusal.
async fn until_refused(mut ask: impl AsyncFnMut(usize) -> Answer) -> (usize, Answer) {
    for asked in 0..1_000 {
        let answer = ask(asked).await;
        if answer.status == 429 {
            return (asked, answer);
        }
    }
    panic!("nobody is ever refused");
}

fn assert_refused_by(refusal: &Answer, rule: &str) {
    assert_eq!(refusal.problem(), "quota-exceeded");
    assert_eq!(refusal.json()["violated-policies"], json!([rule]));
    let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1, "{refusal:?}");
}

/// As many as the rule lets in at once, and those that came back meanwhile where the machine is slow.
fn assert_let_in(let_in: usize, burst: usize, interval: Duration, begun: Instant) {
    let most = burst + (begun.elapsed().as_millis() / interval.as_millis()) as usize;
    assert!((burst..=most).contains(&let_in), "{let_in} of {burst} to {most}");
}

/// Addresses of networks of their own.
fn address(n: usize) -> String {
    format!("10.{}.{}.1", n / 250 + 1, n % 250)
}

#[tokio::test]
async fn each_network_may_ask_as_often_as_its_rules_say() {
    let service = Service::start().await.limited(1, None).await;
    let token = |prefix: &str| format!("{prefix}_{}", "A".repeat(50));
    let body = |path: &str, n: usize| match path {
        "/v1/auth/login" => json!({"email": format!("nobody{n}@example.com"), "password": PASSWORD}),
        "/v1/auth/register" => json!({"email": format!("nobody{n}@example.com"), "password": "short"}),
        "/v1/auth/password/forgot" => json!({"email": format!("forgetful{n}@example.com")}),
        "/v1/auth/email/resend" => json!({"email": format!("impatient{n}@example.com")}),
        "/v1/auth/email/verify" => json!({"token": token("evt")}),
        "/v1/auth/password/reset" => json!({"token": token("prt"), "password": PASSWORD}),
        _ => json!({"refreshToken": token("rt")}),
    };
    let cases = [
        ("/v1/auth/login", 10, 6, "login-ip"),
        ("/v1/auth/register", 5, 360, "register-ip"),
        ("/v1/auth/password/forgot", 5, 360, "mail-ip"),
        ("/v1/auth/email/resend", 5, 360, "mail-ip"),
        ("/v1/auth/email/verify", 10, 10, "token-ip"),
        ("/v1/auth/password/reset", 10, 10, "token-ip"),
        ("/v1/auth/refresh", 30, 2, "refresh-ip"),
        ("/v1/auth/logout", 30, 2, "refresh-ip"),
    ];
    for (at, (path, burst, interval, rule)) in cases.into_iter().enumerate() {
        let (ours, begun) = (address(at), Instant::now());
        let (let_in, refusal) = until_refused(async |n| {
            let answer = post_from(&service, &ours, path, &body(path, n)).await;
            let policy = answer.header("ratelimit-policy").unwrap();
            assert!(policy.starts_with(&format!("\"{rule}\";q={burst};w=")), "{policy}");
            answer
        })
        .await;
        assert_let_in(let_in, burst, Duration::from_secs(interval), begun);
        assert_refused_by(&refusal, rule);
        let other = post_from(&service, &format!("192.0.2.{at}"), path, &body(path, 0)).await;
        assert_ne!(other.status, 429, "{path}: another network is not held responsible");
    }
}

#[tokio::test]
async fn a_forged_address_gains_nothing() {
    let service = Service::start().await.limited(1, None).await;
    let body = json!({"email": "nobody@example.com", "password": "short"});
    // The proxy appends who called it; what stands left of that is the caller's own story, and another one each time.
    let (let_in, refusal) = until_refused(async |n| {
        let told = format!("{}, 203.0.113.7", address(n));
        post_from(&service, &told, "/v1/auth/register", &body).await
    })
    .await;
    assert_eq!(let_in, 5);
    assert_refused_by(&refusal, "register-ip");
    // And within a network of IPv6 there are addresses without end.
    let (let_in, _) =
        until_refused(async |n| post_from(&service, &format!("2001:db8:1:2::{n:x}"), "/v1/auth/register", &body).await)
            .await;
    assert_eq!(let_in, 5);
}

#[tokio::test]
async fn guessing_one_address_from_many_networks_is_limited_and_the_right_password_counts_for_nothing() {
    let plain = Service::start().await;
    let ada = plain.person("ada@example.com").await;
    let service = plain.limited(1, None).await;
    let log_in = async |n: usize, email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        post_from(&service, &address(n), "/v1/auth/login", &body).await
    };
    for n in 0..12 {
        log_in(n, &ada.email, PASSWORD).await.expect(200);
    }
    let mut answers = Vec::new();
    for email in [ada.email.as_str(), "nobody@example.com"] {
        let (let_in, refusal) = until_refused(async |n| log_in(n + 20, email, "a wrong password, surely").await).await;
        assert_eq!(let_in, 5, "{email}");
        assert_refused_by(&refusal, "login-account");
        // How often somebody failed is told to nobody.
        assert!(!refusal.header("ratelimit").unwrap().contains("account"), "{refusal:?}");
        answers.push((refusal.status, refusal.text));
    }
    assert_eq!(answers[0], answers[1], "known or not, the answer is the same");
}

#[tokio::test]
async fn one_address_is_written_to_three_times_however_many_networks_ask() {
    let service = Service::start().await.limited(1, None).await;
    for (kind, path) in ["/v1/auth/password/forgot", "/v1/auth/email/resend"].into_iter().enumerate() {
        let email = format!("nobody{kind}@example.com");
        let (let_in, refusal) = until_refused(async |n| {
            post_from(&service, &address(n + 100 * kind), path, &json!({"email": email})).await
        })
        .await;
        assert_eq!(let_in, 3, "{path}");
        assert_refused_by(&refusal, "mail-address");
        assert!(!refusal.header("ratelimit").unwrap().contains("address"), "{refusal:?}");
    }
    // Upper and lower case are one address, and the ways to ask are one rule.
    let body = json!({"email": "NOBODY0@example.com"});
    let answer = post_from(&service, "192.0.2.1", "/v1/auth/email/resend", &body).await;
    assert_refused_by(&answer, "mail-address");
}

#[tokio::test]
async fn one_session_is_refreshed_as_often_as_its_rule_says() {
    let plain = Service::start().await;
    let ada = plain.person("ada@example.com").await;
    let service = plain.limited(1, None).await;
    let (mut token, begun) = (ada.refresh.clone(), Instant::now());
    let (let_in, refusal) = until_refused(async |n| {
        let body = json!({"refreshToken": token});
        let answer = post_from(&service, &address(n), "/v1/auth/refresh", &body).await;
        if answer.status == 200 {
            token = answer.json()["refreshToken"].as_str().unwrap().to_owned();
        }
        answer
    })
    .await;
    assert_let_in(let_in, 10, Duration::from_secs(10), begun);
    assert_refused_by(&refusal, "refresh-session");
    // Refused is not used up.
    plain.refresh(&token).await.expect(200);
}

#[tokio::test]
async fn a_user_may_ask_as_often_as_the_rule_says_from_wherever() {
    let plain = Service::start().await;
    let (ada, bob) = (plain.person("ada@example.com").await, plain.person("bob@example.com").await);
    let service = plain.limited(1, None).await;
    let get = async |person: &Person, n: usize| {
        let request = service.request(Method::GET, "/v1/me/sessions").bearer_auth(&person.access);
        service.send(from(request, &address(n))).await
    };
    let (let_in, refusal) = until_refused(async |n| get(&ada, n).await).await;
    // One more comes back each tenth of a second.
    assert!(let_in >= 120, "{let_in}");
    assert_refused_by(&refusal, "user");
    get(&bob, 0).await.expect(200);
}

#[tokio::test]
async fn a_stolen_session_is_no_way_to_guess_the_password_nor_to_fill_mailboxes() {
    let plain = Service::start().await;
    let ada = plain.person("ada@example.com").await;
    let service = plain.limited(1, None).await;
    let wrong = json!({"currentPassword": "a wrong password, surely", "newPassword": "she hums along to trams"});
    let (let_in, refusal) =
        until_refused(async |_| service.by(&ada, Method::POST, "/v1/auth/password/change", Some(&wrong)).await).await;
    assert_eq!(let_in, 5);
    assert_refused_by(&refusal, "password-account");
    assert!(refusal.header("ratelimit").unwrap().contains("\"password-account\";r=0"), "{refusal:?}");

    let body = json!({"email": "victim@example.com"});
    let (let_in, refusal) =
        until_refused(async |_| service.by(&ada, Method::POST, "/v1/me/email", Some(&body)).await).await;
    assert_eq!(let_in, 3);
    assert_refused_by(&refusal, "mail-address");
}

#[tokio::test]
async fn three_instances_share_each_limit_and_lose_redis_half_way() {
    let mut server = RedisServer::start().await;
    let first = Service::start().await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(first.limited(3, Some(connect(&server).await)).await);
    }
    let body = json!({"email": "nobody@example.com", "password": "short"});
    let register =
        async |n: usize, client: &str| post_from(&instances[n % 3], client, "/v1/auth/register", &body).await;
    let (let_in, refusal) = until_refused(async |n| register(n, "203.0.113.7").await).await;
    assert_eq!(let_in, 5);
    assert_refused_by(&refusal, "register-ip");
    for n in 0..3 {
        assert_eq!(register(n, "203.0.113.7").await.status, 429, "another instance gains nothing");
    }

    for n in 0..2 {
        assert_ne!(register(n, "203.0.113.8").await.status, 429);
    }
    server.stop();
    // Five divided by three instances is one each.
    let mut let_in = 0;
    for n in 0..12 {
        let_in += usize::from(register(n, "203.0.113.8").await.status != 429);
    }
    assert_eq!(let_in, 3, "each counts for itself, and none lets everybody in");
}

#[tokio::test]
async fn redis_is_told_of_nobody_by_name_or_address() {
    let server = RedisServer::start().await;
    let service = Service::start().await.limited(1, Some(connect(&server).await)).await;
    let body = json!({"email": "ada@example.com"});
    post_from(&service, "203.0.113.7", "/v1/auth/password/forgot", &body).await.expect(202);
    let keys = server.say("KEYS rl:*").await;
    assert!(keys.contains("rl:mail-ip:") && keys.contains("rl:mail-address:"), "{keys}");
    assert!(!keys.contains("203.0") && !keys.contains("example"), "{keys}");
}
