//! A Redis that is stopped, hangs, or comes back, under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fixtures::{RedisServer, eventually};
use service::{
    health::Condition,
    rate_limit::{RateLimiter, RateLimits, Rule},
    redis::{Away, Redis},
    telemetry::Metrics,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::rate_limits::{connect, connect_patiently};

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_three_times_and_then_by_nobody() {
    let metrics = Metrics::start("test").unwrap();
    let server = RedisServer::start().await;
    let redis = connect(&server).await;
    let soft = CancellationToken::new();
    tokio::spawn(redis.clone().keep(soft.clone()));
    let ping = redis_ping();
    eventually("it answers", async || redis.ask::<String>("healthy", &ping).await.ok()).await;

    server.hang();
    for _ in 0..100 {
        assert_eq!(redis.ask::<String>("hanging", &ping).await, Err(Away));
    }
    let waited = metrics.render();
    let line = r#"redis_failures_total{call="hanging",reason="deadline"} 3"#;
    assert!(waited.contains(line), "{line} in\n{waited}");
    assert!(matches!(redis.check().await, Condition::Degraded(_)));

    server.go_on();
    eventually("it is taken up again", async || redis.ask::<String>("hanging", &ping).await.ok()).await;
    soft.cancel();
}

#[tokio::test]
async fn one_slow_answer_is_no_outage() {
    let server = RedisServer::start().await;
    let redis = connect(&server).await;
    server.hang();
    for _ in 0..2 {
        assert_eq!(redis.ask::<String>("slow", &redis_ping()).await, Err(Away));
    }
    server.go_on();
    // Nobody looks for another connection here: it is the one that there was.
    eventually("the same connection answers", async || redis.ask::<String>("slow", &redis_ping()).await.ok()).await;
}

/// The first command is on its way when the server hangs, the second one waits behind it.
#[tokio::test]
async fn what_was_given_up_while_it_waited_is_not_done_afterwards() {
    let server = RedisServer::start().await;
    let redis = connect(&server).await;
    let count = |call, key| {
        let (redis, mut command) = (redis.clone(), redis::cmd("INCR"));
        command.arg(key);
        async move { redis.ask::<i64>(call, &command).await }
    };
    server.hang();
    assert_eq!(count("sent", "sent").await, Err(Away));
    assert_eq!(count("waiting", "waiting").await, Err(Away));
    server.go_on();
    let counted = eventually("it answers", async || {
        redis.ask::<(Option<i64>, Option<i64>)>("look", redis::cmd("MGET").arg(&["sent", "waiting"])).await.ok()
    });
    assert_eq!(counted.await, (Some(1), None));
}

#[tokio::test]
async fn what_is_asked_at_the_same_time_travels_together_and_each_has_its_own_answer() {
    const MANY: i64 = 500;
    let server = RedisServer::start().await;
    let redis = connect_patiently(&server).await;
    let before = reads(&redis).await;
    let mut asking = JoinSet::new();
    for number in 0..MANY {
        let redis = redis.clone();
        asking.spawn(async move {
            let mut command = redis::cmd(if number % 5 == 0 { "NO-SUCH-COMMAND" } else { "ECHO" });
            (number, redis.ask::<i64>("many", command.arg(number)).await)
        });
    }
    // Four of five have no error, so that the connection is not given up for those of the others.
    while let Some(answered) = asking.join_next().await {
        let (number, answer) = answered.unwrap();
        assert_eq!(answer, if number % 5 == 0 { Err(Away) } else { Ok(number) });
    }
    let reads = reads(&redis).await - before;
    assert!(reads < MANY / 4, "{reads} pieces for {MANY} commands");
}

/// How many pieces Redis has read.
async fn reads(redis: &Redis) -> i64 {
    let told: String = redis.ask("info", redis::cmd("INFO").arg("stats")).await.unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    line.unwrap_or_else(|| panic!("{told}")).parse().unwrap()
}

#[tokio::test]
async fn a_redis_that_was_never_there_is_found_when_it_comes() {
    let mut server = RedisServer::start().await;
    server.stop();
    let redis = connect(&server).await;
    assert_eq!(redis.ask::<String>("late", &redis_ping()).await, Err(Away));
    let soft = CancellationToken::new();
    let keeping = tokio::spawn(redis.clone().keep(soft.clone()));
    server.start_again().await;
    eventually("it is found", async || redis.ask::<String>("late", &redis_ping()).await.ok()).await;
    soft.cancel();
    keeping.await.unwrap();
}

/// As after a fail-over, when the name still leads to what is a replica by now.
#[tokio::test]
async fn a_server_that_may_not_write_is_as_good_as_none() {
    let (server, primary) = (RedisServer::start().await, RedisServer::start().await);
    let redis = connect_patiently(&server).await;
    server.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port())).await;
    let limiter = RateLimiter::new(RateLimits { replicas: 2, factor: 1 }, b"secret", Some(redis.clone()));
    let rule = Rule::new("rule", 10, 1, Duration::from_hours(1));
    let mut allowed = 0;
    for _ in 0..20 {
        let (decision, _) = limiter.decide(&[limiter.charge(&rule, "ada")]).await;
        allowed += u32::from(decision.is_allowed);
    }
    assert_eq!(allowed, 5, "each request is decided, by the part of this process");
    assert!(matches!(redis.check().await, Condition::Degraded(_)), "the connection was dropped");
}

#[tokio::test]
async fn under_load_every_request_is_decided_whatever_redis_does() {
    const RULE: Rule = Rule::new("load", 1_000_000, 1_000_000, Duration::from_secs(1));
    let mut server = RedisServer::start().await;
    let redis = connect(&server).await;
    let soft = CancellationToken::new();
    tokio::spawn(redis.clone().keep(soft.clone()));
    let limiter = RateLimiter::new(RateLimits::default(), b"secret", Some(redis.clone()));
    let decided = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for client in 0..16 {
        let (limiter, decided, soft) = (limiter.clone(), decided.clone(), soft.clone());
        clients.spawn(async move {
            while !soft.is_cancelled() {
                let (decision, _) = limiter.decide(&[limiter.charge(&RULE, &client.to_string())]).await;
                assert!(decision.is_allowed);
                decided.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    }
    let more = async |what: &str| {
        let before = decided.load(Ordering::Relaxed);
        eventually(what, async || (decided.load(Ordering::Relaxed) > before + 200).then_some(())).await;
    };
    let is_back = async || {
        eventually("Redis is taken up again", async || (redis.check().await == Condition::Ok).then_some(())).await;
    };
    more("decided by Redis").await;
    server.stop();
    more("decided without it").await;
    server.start_again().await;
    is_back().await;
    more("decided by Redis again").await;
    server.hang();
    more("decided while it hangs").await;
    server.go_on();
    is_back().await;
    more("decided by Redis in the end").await;
    soft.cancel();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

fn redis_ping() -> redis::Cmd {
    redis::cmd("PING")
}
