use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use serde_json::json;
use service::{
    health::{Condition, Health, PULSE_LIMIT, Pulse, routes},
    telemetry::Metrics,
};
use tokio::time::advance;
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
    advance(Duration::from_millis(500)).await;
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
    assert_eq!(body_of(response).await["status"], "ok");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_still_is_named_until_it_beats_again() {
    let pulse = Pulse::new();
    let app = app(health().pulse("worker", PULSE_LIMIT, {
        let pulse = pulse.clone();
        move || Some(pulse.age())
    }));
    let worker = async |status: u16| {
        let response = get(&app, "/livez").await;
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        let body = body_of(response).await;
        assert_eq!(body["status"], if status == 200 { "ok" } else { "down" });
        assert_eq!((&body["pulses"][0]["name"], &body["pulses"][0]["status"]), (&json!("runtime"), &json!("ok")));
        body["pulses"][1].clone()
    };
    assert_eq!(worker(200).await, json!({"name": "worker", "status": "ok", "ageMs": 0, "limitMs": 30_000}));
    advance(PULSE_LIMIT).await;
    assert_eq!(worker(200).await["ageMs"], 30_000);
    advance(Duration::from_millis(1)).await;
    assert_eq!(worker(503).await, json!({"name": "worker", "status": "down", "ageMs": 30_001, "limitMs": 30_000}));
    pulse.beat();
    assert_eq!(worker(200).await["ageMs"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_never_beats_stands_still_after_its_own_limit() {
    let app = app(health().pulse("worker", Duration::from_secs(5), || None));
    advance(Duration::from_secs(5)).await;
    assert_eq!(get(&app, "/livez").await.status(), 200);
    advance(Duration::from_millis(1)).await;
    assert_eq!(get(&app, "/livez").await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn loops_that_have_ended_do_not_cut_a_drain_short() {
    let soft = CancellationToken::new();
    let app = app(Health::new(soft.clone()).pulse("worker", PULSE_LIMIT, || None));
    soft.cancel();
    advance(PULSE_LIMIT * 10).await;
    let response = get(&app, "/livez").await;
    assert_eq!(response.status(), 200);
    let pulses = body_of(response).await["pulses"].clone();
    assert_eq!(pulses.as_array().unwrap().len(), 1, "the runtime alone: {pulses}");
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_down_has_no_say_in_whether_a_process_lives() {
    let app = app(health().check("postgres", async || Condition::Down("no answer")).check("queue", pending));
    let began = tokio::time::Instant::now();
    assert_eq!(get(&app, "/livez").await.status(), 200);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(get(&app, "/readyz").await.status(), 503);
}

#[test]
fn a_runtime_that_does_not_get_to_its_tasks_is_named() {
    let runtime = |start_paused| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(start_paused).build().unwrap()
    };
    // Nothing runs on it between these two calls.
    let stuck = runtime(false);
    let app = stuck.block_on(async { app(health()) });
    let asking = runtime(true);
    let ask = async |wait: Duration| {
        advance(wait).await;
        let response = get(&app, "/livez").await;
        (response.status().as_u16(), body_of(response).await["pulses"][0]["name"].clone())
    };
    assert_eq!(asking.block_on(ask(Duration::ZERO)), (200, json!("runtime")));
    assert_eq!(asking.block_on(ask(PULSE_LIMIT * 2)), (503, json!("runtime")));
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_gets_to_its_tasks_beats_for_as_long_as_it_likes() {
    let app = app(health());
    for _ in 0..100 {
        tokio::time::sleep(PULSE_LIMIT).await;
        assert_eq!(get(&app, "/livez").await.status(), 200);
    }
}

#[test]
fn both_answers_of_both_probes_are_in_the_description() {
    let description = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        serde_json::to_value(routes(health(), Metrics::start("test").unwrap()).into_openapi()).unwrap()
    });
    for (path, schema) in [("/livez", "Liveness"), ("/readyz", "Readiness")] {
        for status in ["200", "503"] {
            let content = &description["paths"][path]["get"]["responses"][status]["content"]["application/json"];
            assert_eq!(content["schema"]["$ref"], format!("#/components/schemas/{schema}"), "{path} {status}");
        }
    }
    let pulse = &description["components"]["schemas"]["PulseReport"];
    assert_eq!(pulse["required"], json!(["name", "status", "ageMs", "limitMs"]));
}

#[tokio::test]
async fn prometheus_can_read_the_metrics() {
    let response = get(&app(health()), "/metrics").await;
    assert_eq!(header(&response, "content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(text(response).await.contains("waypost_build_info{"));
}
