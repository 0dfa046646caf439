//! What a collector hears of a registration: processes of their own, spans over the wire.

pub mod collector;

use std::{fs::File, path::Path, process::Stdio, time::Instant};

use fixtures::{TestBus, embedded_bus, eventually, on_both_buses};
use opentelemetry_proto::tonic::trace::v1::{
    span::{Link, SpanKind},
    status::StatusCode as SpanStatus,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::process::Child;

use self::collector::{Collected, Collector, Mood};
use crate::{
    run,
    running::{Installation, free_port, terminate},
    waypost,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// Longer than any test: what arrives was flushed at the end of a process.
const AT_THE_END: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");
const AT_ONCE: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// As a `traceparent` names a sampled span.
fn traceparent_of(trace_id: &[u8], span_id: &[u8]) -> String {
    format!("00-{}-{}-01", hex(trace_id), hex(span_id))
}

fn linked(links: &[Link]) -> Vec<String> {
    links.iter().map(|link| traceparent_of(&link.trace_id, &link.span_id)).collect()
}

async fn register(listen: &str, email: &str) -> Response {
    let body = json!({ "email": email, "password": "correct horse battery staple" });
    let request = Client::new().post(format!("http://{listen}/v1/auth/register")).json(&body);
    request.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap()
}

/// A registration is answered before its profile is there.
async fn until_there_are_profiles(installation: &Installation, wanted: i64) {
    eventually("profiles", async || {
        let profiles = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM user_profiles");
        (profiles.fetch_one(&installation.user.pool).await.unwrap() == wanted).then_some(())
    })
    .await;
}

on_both_buses!(a_registration_is_followed_from_its_caller_to_the_worker);

async fn a_registration_is_followed_from_its_caller_to_the_worker(bus: TestBus) {
    let collector = Collector::start(Mood::Takes).await;
    let installation = Installation::make(bus).await;
    let ports = [free_port(), free_port(), free_port()];
    let [admin, relay, worker] = ports.map(|port| format!("127.0.0.1:{port}"));
    let api = format!("127.0.0.1:{}", free_port());
    let traced = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=let-me-in"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=rehearsal"),
        AT_THE_END,
    ];
    let (api_settings, relay_settings, worker_settings) = (
        [&traced[..], &[("OUTBOX_RELAY", "standalone"), ("AUTH_LISTEN", &api), ("AUTH_ADMIN_LISTEN", &admin)]].concat(),
        [&traced[..], &[("RELAY_ADMIN_LISTEN", &relay), ("OTEL_SERVICE_NAME", "the-relay")]].concat(),
        [&traced[..], &[("WORKER_ADMIN_LISTEN", &worker)]].concat(),
    );
    let children = [
        installation.start(&["run", "auth-service"], &api_settings, ports[0]).await,
        installation.start(&["run", "relay", "--service", "auth"], &relay_settings, ports[1]).await,
        installation.start(&["run", "user-worker"], &worker_settings, ports[2]).await,
    ];

    let answer = register(&api, "ada@example.com").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["x-request-id"], TRACE, "what the log calls the trace");
    until_there_are_profiles(&installation, 1).await;
    // What is no context makes no link and no trouble.
    for traceparent in ["not a context".to_owned(), format!("00-{}-{CALLER}-01", "0".repeat(32))] {
        let user_id = installation.send_an_event_of_version_1(Some(traceparent)).await;
        installation.see_the_profile_of(user_id).await;
    }
    assert_eq!(collector.requests(), 0, "nothing is due before the processes end");
    for child in children {
        terminate(child).await;
    }

    let server = collector.only(SpanKind::Server, |_| true);
    assert_eq!((server.service.as_str(), server.span.name.as_str()), ("auth-service", "POST /v1/auth/register"));
    assert_eq!((hex(&server.span.trace_id), hex(&server.span.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    for (key, value) in
        [("http.request.method", "POST"), ("http.route", "/v1/auth/register"), ("http.response.status_code", "202")]
    {
        assert_eq!(server.attribute(key), value, "{key}");
    }
    assert!(server.span.status.is_none_or(|status| status.code != SpanStatus::Error as i32));

    let envelope: String = sqlx::query_scalar("SELECT envelope FROM outbox WHERE event_type = 'user.created'")
        .fetch_one(&installation.auth.pool)
        .await
        .unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let written_by = traceparent_of(&server.span.trace_id, &server.span.span_id);
    assert_eq!(envelope["traceparent"], written_by, "an event names the span that wrote it");

    let topic = installation.bus.bus.names().topic("user.created");
    let to_topic = |producer: &Collected| producer.attribute("messaging.destination.name") == topic;
    let producer = collector.only(SpanKind::Producer, to_topic);
    assert_eq!((producer.service.as_str(), producer.span.name.clone()), ("the-relay", format!("send {topic}")));
    assert_eq!(linked(&producer.span.links), std::slice::from_ref(&written_by));
    for (key, value) in [
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", topic.as_str()),
        ("messaging.batch.message_count", "1"),
    ] {
        assert_eq!(producer.attribute(key), value, "{key}");
    }
    assert!(["aws.sns", "pgmq"].contains(&producer.attribute("messaging.system").as_str()));

    let queue = installation.bus.bus.names().queue("user-service");
    let consumer = collector.only(SpanKind::Consumer, |consumer| !consumer.span.links.is_empty());
    assert_eq!((consumer.service.as_str(), consumer.span.name.clone()), ("user-worker", format!("process {queue}")));
    assert_eq!(linked(&consumer.span.links), [written_by]);
    assert!(consumer.span.parent_span_id.is_empty() && hex(&consumer.span.trace_id) != TRACE, "linked, and no child");
    for (key, value) in [
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", queue.as_str()),
        ("messaging.consumer.group.name", "user-service"),
        ("messaging.batch.message_count", "1"),
        ("waypost.handler", "record_profile"),
    ] {
        assert_eq!(consumer.attribute(key), value, "{key}");
    }

    let spans = collector.spans();
    for found in &spans {
        assert_eq!((found.environment.as_str(), found.api_key.as_str()), ("rehearsal", "let-me-in"));
    }
    let unlinked = spans.iter().filter(|found| found.span.kind() == SpanKind::Consumer && found.span.links.is_empty());
    assert_eq!(unlinked.count(), 2, "of the events without a valid context");
    // The request, its two events to two topics, and three events at the worker.
    assert_eq!(spans.len(), 6, "spans of ours alone, and none of probes: {spans:#?}");
    let everything = format!("{spans:?}");
    for private in ["example.com", "battery", "INSERT", "SELECT"] {
        assert!(!everything.contains(private), "{private} in {everything}");
    }
}

/// Starts auth-service with its log in a file, and waits until it is ready.
async fn auth_service(installation: &Installation, listen: &str, settings: &[(&str, &str)], log: &Path) -> Child {
    let admin = format!("127.0.0.1:{}", free_port());
    let child = waypost(&["run", "auth-service"], &[])
        .envs(installation.environment())
        .env("AUTH_LISTEN", listen)
        .env("AUTH_ADMIN_LISTEN", &admin)
        .envs(settings.iter().copied())
        .stderr(Stdio::from(File::create(log).unwrap()))
        .spawn()
        .unwrap();
    eventually("auth-service is ready", async || {
        let answer = Client::new().get(format!("http://{admin}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
    })
    .await;
    child
}

/// Whether the process has the thread that sends spans.
fn sends_spans(child: &Child) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id().unwrap())).unwrap();
    let mut names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.any(|name| name.starts_with("OpenTelemetry"))
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_traced_whatever_else_is_set() {
    let (installation, folder) = (Installation::make(embedded_bus().await).await, tempfile::tempdir().unwrap());
    let collector = Collector::start(Mood::Takes).await;
    let on = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.endpoint));
    for (settings, is_traced) in [
        ([("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "auth")], false),
        ([(on.0, on.1.as_str()), ("OTEL_TRACES_SAMPLER", "always_off")], true),
    ] {
        let listen = format!("127.0.0.1:{}", free_port());
        let child = auth_service(&installation, &listen, &settings, &folder.path().join("log")).await;
        assert_eq!(register(&listen, "ada@example.com").await.headers()["x-request-id"], TRACE);
        assert_eq!(sends_spans(&child), is_traced, "{settings:?}");
        terminate(child).await;
    }
    assert_eq!(collector.requests(), 0, "the second one's sampler takes nothing");
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_holds_nothing_up() {
    let (installation, folder) = (Installation::make(embedded_bus().await).await, tempfile::tempdir().unwrap());
    let hanging = Collector::start(Mood::Hangs).await;
    for endpoint in ["http://127.0.0.1:9", hanging.endpoint.as_str()] {
        let (listen, log) = (format!("127.0.0.1:{}", free_port()), folder.path().join("log"));
        let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), AT_THE_END];
        let child = auth_service(&installation, &listen, &settings, &log).await;
        let answer = register(&listen, "ada@example.com").await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let began = Instant::now();
        terminate(child).await;
        let took = began.elapsed();
        // The flush gives up after 2 s, and a request to the collector only after 10.
        assert!(took.as_secs() < 8, "{endpoint}: {took:?}");
        let log = std::fs::read_to_string(&log).unwrap();
        // The other is of Redis, which this one has none of.
        let warnings = log.lines().filter(|line| line.contains(" WARN ") && !line.contains(r#"check="redis""#));
        assert_eq!(warnings.count(), 1, "{endpoint}: {log}");
    }
    assert_eq!(hanging.requests(), 1);
}

#[tokio::test]
async fn a_collector_that_fails_is_told_of_once_and_once_more_when_it_works_again() {
    let (installation, folder) = (Installation::make(embedded_bus().await).await, tempfile::tempdir().unwrap());
    let collector = Collector::start(Mood::Refuses).await;
    let (listen, log) = (format!("127.0.0.1:{}", free_port()), folder.path().join("log"));
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), AT_ONCE];
    let child = auth_service(&installation, &listen, &settings, &log).await;
    let registering_until = async |what: &str, is_done: &dyn Fn() -> bool| {
        eventually(what, async || {
            register(&listen, "ada@example.com").await;
            is_done().then_some(())
        })
        .await;
    };
    registering_until("several requests in vain", &|| collector.requests() >= 3).await;
    collector.turn(Mood::Takes);
    registering_until("spans that arrive", &|| !collector.spans().is_empty()).await;
    terminate(child).await;
    let log = std::fs::read_to_string(&log).unwrap();
    let failing = "the collector does not take traces; until it does, they are lost";
    for line in [failing, "400 Bad Request", "the collector takes traces again"] {
        assert_eq!(log.matches(line).count(), 1, "{line} in {log}");
    }
}

#[tokio::test]
async fn wrong_settings_of_traces_are_told_with_all_others() {
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), ("AUTH_LISTEN", "3001")];
    for arguments in [&["run", "auth-service"][..], &["settings", "auth-service"]] {
        let (code, _, stderr) = run(arguments, &environment).await;
        assert_eq!(code, 2, "{stderr}");
        let line = "OTEL_EXPORTER_OTLP_ENDPOINT is `collector:4318`, should be a URL such as http://127.0.0.1:4318";
        assert!(stderr.contains(line) && stderr.contains("AUTH_LISTEN is `3001`"), "{stderr}");
    }
}
