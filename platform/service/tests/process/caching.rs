use std::time::Duration;

use fixtures::{RedisServer, eventually};
use service::cache::{Cache, Version};

use crate::rate_limits::connect_patiently;

const LIFE: Duration = Duration::from_mins(15);

#[tokio::test]
async fn what_was_kept_is_found_for_the_version_it_was_made_of() {
    let server = RedisServer::start().await;
    let cache = Cache::new("test", Some(connect_patiently(&server).await), LIFE);
    assert_eq!(cache.get("user:id:1", Version(3)).await, None);
    cache.set(&["user:id:1", "user:email:ada@example.com"], Version(3), b"ada").await;
    for key in ["user:id:1", "user:email:ada@example.com"] {
        assert_eq!(cache.get(key, Version(3)).await.as_deref(), Some(&b"ada"[..]));
        assert_eq!(cache.get(key, Version(4)).await, None, "it is older than the row");
        assert_eq!(cache.get(key, Version(2)).await, None, "and never newer");
    }
    let left: u128 = server.say("PTTL user:id:1").await.trim_start_matches(':').parse().unwrap();
    assert!(left > LIFE.as_millis() - 60_000 && left <= LIFE.as_millis(), "{left}");
}

#[tokio::test]
async fn who_read_the_row_before_it_was_changed_can_not_put_the_old_one_back() {
    let server = RedisServer::start().await;
    let cache = Cache::new("test", Some(connect_patiently(&server).await), LIFE);
    cache.set(&["k"], Version(5), b"five").await;
    cache.del(&["k"], Version(6)).await;
    assert!(!server.say("GET k").await.contains("five"), "what was there is gone");
    cache.set(&["k"], Version(5), b"five").await;
    assert!(!server.say("GET k").await.contains("five"), "put back by a slow reader");
    cache.set(&["k"], Version(6), b"six").await;
    assert_eq!(cache.get("k", Version(6)).await.as_deref(), Some(&b"six"[..]));
    cache.set(&["k"], Version(10), b"ten").await;
    cache.set(&["k"], Version(9), b"nine").await;
    assert_eq!(cache.get("k", Version(10)).await.as_deref(), Some(&b"ten"[..]));

    cache.del(&["k"], Version::LAST).await;
    cache.set(&["k"], Version(i64::MAX - 1), b"erased").await;
    assert!(!server.say("GET k").await.contains("erased"));
}

#[tokio::test]
async fn what_nobody_waits_for_is_forgotten_soon_and_nothing_older_comes_back() {
    let server = RedisServer::start().await;
    let cache = Cache::new("test", Some(connect_patiently(&server).await), LIFE);
    let is_gone = async || (!server.say("GET k").await.contains("five")).then_some(());
    cache.set(&["k"], Version(5), b"five").await;
    assert_eq!(is_gone().await, None);
    server.say("SCRIPT FLUSH").await;
    cache.del_soon(&["k"], Version(6));
    eventually("it is forgotten", is_gone).await;
    cache.set(&["k"], Version(5), b"five").await;
    assert_eq!(is_gone().await, Some(()), "put back by a slow reader");

    // Before what is asked later.
    cache.set(&["k"], Version(7), b"seven").await;
    cache.del_soon(&["k"], Version(8));
    assert_eq!(cache.get("k", Version(7)).await, None);
}

#[tokio::test]
async fn what_was_found_a_moment_ago_is_found_without_redis_as_long_as_the_row_is_the_same() {
    let mut server = RedisServer::start().await;
    let redis = connect_patiently(&server).await;
    let (ours, theirs) = (Cache::new("test", Some(redis.clone()), LIFE), Cache::new("test", Some(redis), LIFE));
    for key in ["k", "forgotten", "changed"] {
        ours.set(&[key], Version(1), b"one").await;
        assert_eq!(ours.get(key, Version(1)).await.as_deref(), Some(&b"one"[..]));
    }
    // Another process changes one of them; what this one has near is older than the row, and is not served again.
    theirs.set(&["changed"], Version(2), b"two").await;
    assert_eq!(ours.get("changed", Version(2)).await, None);
    assert_eq!(ours.get("changed", Version(2)).await.as_deref(), Some(&b"two"[..]));
    ours.del(&["forgotten"], Version(1)).await;
    server.stop();
    assert_eq!(ours.get("k", Version(1)).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(ours.get("forgotten", Version(1)).await, None);
    assert_eq!(ours.get("k", Version(2)).await, None);
    assert_eq!(theirs.get("k", Version(1)).await, None);
}

#[tokio::test]
async fn without_redis_nothing_is_found_and_nothing_fails() {
    let mut server = RedisServer::start().await;
    let cache = Cache::new("test", Some(connect_patiently(&server).await), LIFE);
    server.stop();
    for cache in [&cache, &Cache::new("test", None, LIFE)] {
        cache.set(&["k"], Version(1), b"one").await;
        cache.del(&["k"], Version(2)).await;
        cache.del_soon(&["k"], Version(2));
        assert_eq!(cache.get("k", Version(1)).await, None);
    }
}
