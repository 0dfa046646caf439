use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use serde_json::json;
use service::{
    health::{Condition, Health, routes},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

use crate::{get, header, json as body_of, text};

fn app(health: Health) -> Router {
    routes(health, Metrics::start("test").unwrap()).into()
}

fn health() -> Health {
    Health::new(CancellationToken::new())
}

#[tokio::test]
async fn ready_means_that_nothing_is_down() {
    for (conditions, status, word) in [
        (vec![], 200, "ok"),
        (vec![Condition::Ok, Condition::Ok], 200, "ok"),
        (vec![Condition::Ok, Condition::Degraded("cache is away")], 200, "degraded"),
        (vec![Condition::Down("no answer"), Condition::Degraded("cache is away")], 503, "down"),
    ] {
        let health = conditions.iter().fold(health(), |health, condition| {
            let condition = *condition;
            health.check("dependency", move || async move { condition })
        });
        let response = get(&app(health), "/readyz").await;
        assert_eq!(response.status(), status, "{conditions:?}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        let body = body_of(response).await;
        assert_eq!(body["status"], word, "{conditions:?}");
        assert_eq!(body["checks"].as_array().unwrap().len(), conditions.len());
    }
}

#[tokio::test(start_paused = true)]
async fn checks_run_together_and_none_is_waited_for_long() {
    let began = tokio::time::Instant::now();
    let health = health().check("first", pending).check("second", pending).check("third", async || Condition::Ok);
    let body = body_of(get(&app(health), "/readyz").await).await;
    assert_eq!(began.elapsed().as_millis(), 1_500);
    assert_eq!(
        body["checks"],
        json!([
            {"name": "first", "status": "down", "latencyMs": 1_500, "detail": "no answer in time"},
            {"name": "second", "status": "down", "latencyMs": 1_500, "detail": "no answer in time"},
            {"name": "third", "status": "ok", "latencyMs": 0},
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn asking_often_does_not_ask_the_dependency_often() {
    let asked = Arc::new(AtomicUsize::new(0));
    let health = health().check("dependency", {
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            async { Condition::Ok }
        }
    });
    let app = app(health);
    for _ in 0..50 {
        get(&app, "/readyz").await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(std::time::Duration::from_millis(500)).await;
    get(&app, "/readyz").await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_process_that_stops_is_alive_and_not_ready() {
    let soft = CancellationToken::new();
    let app = app(Health::new(soft.clone()).check("dependency", async || Condition::Ok));
    assert_eq!(get(&app, "/readyz").await.status(), 200);
    soft.cancel();
    let response = get(&app, "/readyz").await;
    assert_eq!(response.status(), 503);
    let body = body_of(response).await;
    assert_eq!((&body["status"], &body["stopping"]), (&json!("down"), &json!(true)));
    let response = get(&app, "/livez").await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn prometheus_can_read_the_metrics() {
    let response = get(&app(health()), "/metrics").await;
    assert_eq!(header(&response, "content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(text(response).await.contains("waypost_build_info{"));
}
