//! One suite for both ways of counting, and what each promises beside it.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode},
    middleware::from_fn_with_state,
    response::Response,
    routing::post,
};
use fixtures::{RedisServer, eventually};
use futures_util::future::join_all;
use serde::Deserialize;
use service::{
    Problem,
    http::{self, HttpSettings},
    problem::Json,
    rate_limit::{RateLimiter, RateLimits, Rule, Throttle, by_network},
    redis::{Redis, RedisSettings},
    settings::AppEnv,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{ask, header, json};

const SECRET: &[u8] = b"one secret for all instances";
/// Wins nothing back while a test runs.
const SLOW: Rule = Rule::new("slow", 20, 1, Duration::from_hours(1));
const NARROW: Rule = Rule::new("narrow", 2, 1, Duration::from_hours(1));
const FAILURES: Rule = Rule::new("failures", 3, 1, Duration::from_hours(1)).untold().of_failures();
const OFTEN: Rule = Rule::new("often", 40, 1, Duration::from_hours(1)).taken_ahead();
const QUICK: Rule = Rule::new("quick", 3, 1, Duration::from_millis(200));

/// As a process has it.
pub async fn connect(server: &RedisServer) -> Redis {
    Redis::connect(settings(server)).await
}

/// Waits for a Redis that is there, however busy the machine is.
pub async fn connect_patiently(server: &RedisServer) -> Redis {
    Redis::connect(settings(server).waiting(fixtures::DEADLINE)).await
}

fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings::from_url("REDIS_URL", &server.url(), AppEnv::Development).unwrap()
}

fn limiter(replicas: u32, redis: Option<Redis>) -> RateLimiter {
    RateLimiter::new(RateLimits { replicas, factor: 1 }, SECRET, redis)
}

async fn is_allowed(limiter: &RateLimiter, charges: &[(&Rule, &str)]) -> bool {
    let charges: Vec<_> = charges.iter().map(|(rule, whom)| limiter.charge(rule, whom)).collect();
    limiter.decide(&charges).await.0.is_allowed
}

/// How many of so many are let in, asking all of these at the same moment.
async fn allowed_of(limiters: &[RateLimiter], each: usize, rule: &Rule, whom: &str) -> usize {
    let asking = limiters.iter().flat_map(|limiter| (0..each).map(move |_| limiter));
    let answers = join_all(asking.map(async |limiter| is_allowed(limiter, &[(rule, whom)]).await)).await;
    answers.into_iter().filter(|allowed| *allowed).count()
}

/// What both ways of counting promise.
async fn conforms(limiter: &RateLimiter) {
    // However many come at the same moment, as many are let in as the rule says.
    assert_eq!(allowed_of(std::slice::from_ref(limiter), 100, &SLOW, "burst").await, 20);
    assert_eq!(allowed_of(std::slice::from_ref(limiter), 100, &OFTEN, "burst").await, 40);
    let (decision, _) = limiter.decide(&[limiter.charge(&SLOW, "burst")]).await;
    let [standing] = decision.standings.as_slice() else { panic!("{decision:?}") };
    assert_eq!((decision.is_allowed, standing.remaining), (false, 0));
    let wait = decision.retry_after().unwrap();
    assert!(wait > Duration::from_mins(50) && wait <= Duration::from_hours(1), "{wait:?}");

    // Another one, and another rule, have buckets of their own.
    assert!(is_allowed(limiter, &[(&SLOW, "another")]).await);
    assert!(is_allowed(limiter, &[(&NARROW, "burst")]).await);

    // What one rule refuses is counted by none.
    assert!(is_allowed(limiter, &[(&NARROW, "both"), (&SLOW, "both")]).await);
    assert!(is_allowed(limiter, &[(&NARROW, "both"), (&SLOW, "both")]).await);
    for _ in 0..50 {
        assert!(!is_allowed(limiter, &[(&SLOW, "both"), (&NARROW, "both")]).await);
    }
    assert_eq!(allowed_of(std::slice::from_ref(limiter), 50, &SLOW, "both").await, 18);

    // What turns out to be no failure is taken back; what is one stays.
    for _ in 0..10 {
        let (decision, charged) = limiter.decide(&[limiter.charge(&FAILURES, "ada")]).await;
        assert!(decision.is_allowed);
        charged.refund();
    }
    assert_eq!(allowed_of(std::slice::from_ref(limiter), 10, &FAILURES, "ada").await, 3);

    // The edge of a window: all at once, then nothing, and one more with each interval that is over, and not two.
    let begun = Instant::now();
    assert_eq!(allowed_of(std::slice::from_ref(limiter), 3, &QUICK, "edge").await, 3);
    eventually("one more is let in", async || is_allowed(limiter, &[(&QUICK, "edge")]).await.then_some(())).await;
    assert!(begun.elapsed() >= QUICK.interval, "before its interval was over");
    let more = 1 + allowed_of(std::slice::from_ref(limiter), 10, &QUICK, "edge").await;
    let intervals = begun.elapsed().as_millis() / QUICK.interval.as_millis();
    assert!(more as u128 <= intervals, "{more} within {intervals} intervals");
}

#[tokio::test]
async fn limits_hold_in_a_process() {
    conforms(&limiter(1, None)).await;
}

#[tokio::test]
async fn limits_hold_in_redis() {
    let server = RedisServer::start().await;
    conforms(&limiter(1, Some(connect_patiently(&server).await))).await;
}

#[tokio::test]
async fn three_instances_share_one_limit() {
    let server = RedisServer::start().await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        // Were they to count for themselves, they would let a third in each, which is another number.
        instances.push(limiter(7, Some(connect_patiently(&server).await)));
    }
    assert_eq!(allowed_of(&instances, 30, &SLOW, "203.0.113.7").await, 20);
    for instance in &instances {
        assert!(!is_allowed(instance, &[(&SLOW, "203.0.113.7")]).await, "another instance gains a client nothing");
    }
}

#[tokio::test]
async fn what_instances_take_ahead_is_of_one_limit_too() {
    let server = RedisServer::start().await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(limiter(7, Some(connect_patiently(&server).await)));
    }
    // One after the other, so that each instance has some in its hands when another takes the last.
    let mut allowed = 0;
    for _ in 0..50 {
        for instance in &instances {
            allowed += usize::from(is_allowed(instance, &[(&OFTEN, "ada")]).await);
        }
    }
    // Fewer only where this machine took more than a second for some of them.
    assert!((20..=40).contains(&allowed), "{allowed}");
    for instance in &instances {
        assert!(!is_allowed(instance, &[(&OFTEN, "ada")]).await, "another instance gains a client nothing");
    }
}

#[tokio::test]
async fn whoever_asks_often_costs_redis_less_than_a_call_each() {
    const REQUESTS: u64 = 200;
    const LARGE: Rule = Rule::new("large", 1_000, 1, Duration::from_hours(1)).taken_ahead();
    let server = RedisServer::start().await;
    let limiter = limiter(1, Some(connect_patiently(&server).await));
    for n in 1..=REQUESTS {
        let (decision, _) = limiter.decide(&[limiter.charge(&LARGE, "ada")]).await;
        assert!(decision.is_allowed && u64::from(decision.standings[0].remaining) <= 1_000 - n, "{n}: {decision:?}");
    }
    let calls = script_calls(&server).await;
    assert!(calls < REQUESTS, "{calls}");
    // With another rule beside it, it is counted with that, at once.
    let both = [(&LARGE, "ada"), (&SLOW, "ada")];
    for _ in 0..20 {
        assert!(is_allowed(&limiter, &both).await);
    }
    assert!(!is_allowed(&limiter, &both).await);
    assert_eq!(script_calls(&server).await, calls + 21);
}

#[tokio::test]
async fn those_who_ask_at_the_same_moment_wait_for_one_block() {
    const LARGE: Rule = Rule::new("large", 1_000, 1, Duration::from_hours(1)).taken_ahead();
    /// What is taken ahead is lost after a second, and who had it lost starts anew.
    const IN_TIME: Duration = Duration::from_millis(500);
    let server = RedisServer::start().await;
    let limiter = limiter(1, Some(connect_patiently(&server).await));
    eventually("a machine that is quick enough", async || {
        let (whom, begun) = (Uuid::new_v4().to_string(), Instant::now());
        // One, then two, then four; the next block is of eight.
        for _ in 0..7 {
            assert!(is_allowed(&limiter, &[(&LARGE, &whom)]).await);
        }
        let calls = script_calls(&server).await;
        assert_eq!(allowed_of(std::slice::from_ref(&limiter), 8, &LARGE, &whom).await, 8);
        let more = script_calls(&server).await - calls;
        (begun.elapsed() < IN_TIME).then(|| assert_eq!(more, 1))
    })
    .await;
}

/// How many scripts were run.
async fn script_calls(server: &RedisServer) -> u64 {
    let stats = server.say("INFO commandstats").await;
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
    line.split("calls=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn redis_holds_no_address_and_forgets_by_itself() {
    let server = RedisServer::start().await;
    let limiter = limiter(1, Some(connect_patiently(&server).await));
    for whom in ["203.0.113.7", "ada@example.com"] {
        assert!(is_allowed(&limiter, &[(&SLOW, whom)]).await);
    }
    let keys = server.say("KEYS *").await;
    assert_eq!(keys.matches("rl:slow:").count(), 2, "{keys}");
    assert!(!keys.contains("203") && !keys.contains("ada") && !keys.contains("example"), "{keys}");
    let key = keys.lines().find(|line| line.starts_with("rl:")).unwrap();
    let left: i64 = server.say(&format!("PTTL {key}")).await.trim_start_matches(':').parse().unwrap();
    assert!(left > 0 && left <= 3_600_000, "{left}");
}

#[tokio::test]
async fn a_process_without_redis_lets_in_its_part_and_takes_redis_up_again() {
    let mut server = RedisServer::start().await;
    let redis = connect_patiently(&server).await;
    let soft = CancellationToken::new();
    tokio::spawn(redis.clone().keep(soft.clone()));
    let limiter = limiter(4, Some(redis.clone()));
    let all = std::slice::from_ref(&limiter);
    assert_eq!(allowed_of(all, 10, &SLOW, "ada").await, 10);

    server.stop();
    assert_eq!(allowed_of(all, 50, &SLOW, "ada").await, 5, "a quarter of the quota, and neither all nor nothing");
    assert!(!is_allowed(&limiter, &[(&SLOW, "ada")]).await);

    server.start_again().await;
    eventually("Redis is taken up again", async || {
        (redis.check().await == service::health::Condition::Ok).then_some(())
    })
    .await;
    assert_eq!(allowed_of(all, 50, &SLOW, "bob").await, 20, "a limit that all share again");
    soft.cancel();
}

/// A route that counts by network, and one whose handler adds by whom it is about.
fn app(limiter: &RateLimiter) -> Router {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct About {
        whom: String,
    }
    async fn handle(throttle: Throttle, Json(about): Json<About>) -> Result<&'static str, Problem> {
        let charged = throttle.admit(&[(&FAILURES, &about.whom)]).await?;
        if about.whom == "succeeds" {
            charged.refund();
        }
        Ok("let in")
    }
    const BY_NETWORK: Rule = Rule::new("by-network", 6, 1, Duration::from_hours(1));
    let layer = from_fn_with_state((limiter.clone(), &BY_NETWORK), by_network);
    http::app(Router::new().route("/", post(handle)).layer(layer), &HttpSettings::default())
}

async fn post_from(app: &Router, ip: &str, body: &str) -> Response {
    let mut request = Request::post("/").header("content-type", "application/json").body(Body::from(body.to_owned()));
    let peer = SocketAddr::new(ip.parse().unwrap(), 1234);
    request.as_mut().unwrap().extensions_mut().insert(ConnectInfo(peer));
    ask(app, request.unwrap()).await
}

#[tokio::test]
async fn an_answer_tells_what_is_left_and_a_refusal_when_to_come_back() {
    let app = app(&limiter(1, None));
    let response = post_from(&app, "203.0.113.7", r#"{"whom":"ada"}"#).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "ratelimit"), Some(r#""by-network";r=5;t=3600"#));
    assert_eq!(header(&response, "ratelimit-policy"), Some(r#""by-network";q=6;w=21600"#));
    for _ in 0..2 {
        post_from(&app, "203.0.113.7", r#"{"whom":"ada"}"#).await;
    }

    // By whom it is about: named in the refusal, and never counted down before a stranger.
    let response = post_from(&app, "203.0.113.7", r#"{"whom":"ada"}"#).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&response, "retry-after"), Some("3600"));
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert_eq!(header(&response, "ratelimit"), Some(r#""by-network";r=3;t=3600"#));
    let body = json(response).await;
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["violated-policies"], serde_json::json!(["failures"]));

    // A body that can't be read counts as well; then the network has used up its own.
    for status in [400, 415, 400] {
        let body = if status == 400 { "{" } else { "" };
        let response = post_from(&app, "203.0.113.7", body).await;
        assert!(response.status().is_client_error() && response.status() != 429, "{}", response.status());
    }
    let response = post_from(&app, "203.0.113.7", "{").await;
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "ratelimit"), Some(r#""by-network";r=0;t=3600"#));
    assert_eq!(json(response).await["violated-policies"], serde_json::json!(["by-network"]));
    // Another network is not held responsible, though it is about the same.
    assert_eq!(post_from(&app, "203.0.113.8", r#"{"whom":"bob"}"#).await.status(), 200);
    assert_eq!(post_from(&app, "203.0.113.8", r#"{"whom":"ada"}"#).await.status(), 429);
    for _ in 0..4 {
        assert_eq!(post_from(&app, "203.0.113.9", r#"{"whom":"succeeds"}"#).await.status(), 200);
    }
}

#[tokio::test]
async fn addresses_of_one_ipv6_network_are_one_client() {
    let app = app(&limiter(1, None));
    for n in 0..6 {
        let response = post_from(&app, &format!("2001:db8:1:2::{n:x}"), &format!(r#"{{"whom":"{n}"}}"#)).await;
        assert_eq!(response.status(), 200, "{n}");
    }
    assert_eq!(post_from(&app, "2001:db8:1:2:ffff::1", r#"{"whom":"x"}"#).await.status(), 429);
    assert_eq!(post_from(&app, "2001:db8:1:3::1", r#"{"whom":"x"}"#).await.status(), 200);
}

#[tokio::test]
async fn what_a_process_refused_by_itself_is_let_in_once_redis_is_back() {
    let mut server = RedisServer::start().await;
    let redis = connect_patiently(&server).await;
    let soft = CancellationToken::new();
    tokio::spawn(redis.clone().keep(soft.clone()));
    let app = app(&limiter(6, Some(redis.clone())));
    let ask = async |n: usize| post_from(&app, "203.0.113.7", &format!(r#"{{"whom":"{n}"}}"#)).await.status();
    server.stop();
    assert_eq!((ask(0).await.as_u16(), ask(1).await.as_u16(), ask(2).await.as_u16()), (200, 429, 429));
    server.start_again().await;
    eventually("Redis is taken up again", async || {
        (redis.check().await == service::health::Condition::Ok).then_some(())
    })
    .await;
    assert_eq!(ask(3).await, 200);
    soft.cancel();
}

#[tokio::test]
async fn whoever_goes_on_after_a_refusal_costs_redis_nothing() {
    let server = RedisServer::start().await;
    let app = app(&limiter(1, Some(connect_patiently(&server).await)));
    let ask = async |n: usize| post_from(&app, "203.0.113.7", &format!(r#"{{"whom":"{n}"}}"#)).await;
    for n in 0..6 {
        assert_eq!(ask(n).await.status(), 200);
    }
    assert_eq!(ask(6).await.status(), 429);
    let before = script_calls(&server).await;
    for n in 7..100 {
        let refusal = ask(n).await;
        assert_eq!(refusal.status(), 429);
        assert_eq!(header(&refusal, "ratelimit"), Some(r#""by-network";r=0;t=3600"#));
        assert!(header(&refusal, "retry-after").is_some());
    }
    assert_eq!(script_calls(&server).await, before);
}
