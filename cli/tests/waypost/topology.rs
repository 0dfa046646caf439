//! `waypost topology`: what it says, what it does, and what it leaves alone.

use fixtures::{TestBus, on_both_buses};
use messaging::{QueueSettings, Subscriber, Topology};
use schemas::EventType;
use serde_json::Value;

use crate::run;

on_both_buses!(
    topology_verify_names_what_is_missing_and_apply_mends_it,
    a_plan_says_what_would_change_field_by_field,
    topology_apply_removes_nothing_unless_told_to_prune,
    a_queue_that_holds_messages_is_refused_by_name_with_its_counts,
);

/// The command with the environment of a test's bus.
async fn topology(bus: &TestBus, arguments: &[&str]) -> (i32, String, String) {
    let environment: Vec<_> = bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (code, stdout, stderr) = run(&[&["topology"], arguments].concat(), &environment).await;
    (code, stdout.replace(&bus.prefix, ""), stderr.replace(&bus.prefix, ""))
}

/// What an older release had beside or in place of today's.
async fn apply_an_older_topology(bus: &TestBus) {
    // Other consumers are as they are now.
    assert_eq!(topology(bus, &["apply"]).await.0, 0);
    let (events, left) = (user_service::declared().events(), EventType::new("user.left"));
    let settings = QueueSettings { max_receive_count: 7, ..QueueSettings::DEFAULT };
    let subscriber = |consumer: &str, events| Subscriber { consumer: consumer.to_owned(), events, settings };
    let subscribers = vec![subscriber("user-service", events), subscriber("leaver", [left].into())];
    bus.bus.apply(&Topology { subscribers, ..Topology::default() }).await.unwrap();
}

async fn topology_verify_names_what_is_missing_and_apply_mends_it(bus: TestBus) {
    let (code, stdout, _) = topology(&bus, &["verify"]).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("missing: queue user-service\n"), "{stdout}");

    let (code, stdout, stderr) = topology(&bus, &["plan"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("+ queue user-service\n"), "{stdout}");
    assert!(stdout.contains("\n    RedrivePolicy.maxReceiveCount: 20\n"), "{stdout}");
    assert!(stderr.contains(" to make, 0 to change, 0 to remove"), "{stderr}");

    let (code, stdout, _) = topology(&bus, &["apply"]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("+ topic user-created\n"), "{stdout}");
    let (code, stdout, _) = topology(&bus, &["verify", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, report), (0, serde_json::json!({ "differences": [], "extra": [] })));
    for command in ["plan", "apply"] {
        let (code, stdout, stderr) = topology(&bus, &[command, "--prune"]).await;
        assert_eq!((code, stdout.as_str()), (0, ""));
        assert!(stderr.contains("topics, queues and subscriptions are as they should be"), "{stderr}");
    }
}

async fn a_plan_says_what_would_change_field_by_field(bus: TestBus) {
    apply_an_older_topology(&bus).await;
    let (code, stdout, stderr) = topology(&bus, &["plan"]).await;
    assert_eq!(code, 0, "{stderr}");
    let changes = "~ queue user-service\n    RedrivePolicy.maxReceiveCount: 7 → 20\n";
    assert!(stdout.starts_with(changes), "{stdout}");
    let extra = "  queue leaver is in no topology: would be removed with --prune\n";
    assert!(stdout.contains(extra), "{stdout}");
    assert!(stderr.contains("Plan: 0 to make, 1 to change, 0 to remove"), "{stderr}");

    let (_, stdout, stderr) = topology(&bus, &["plan", "--prune"]).await;
    assert!(stdout.contains("\n- subscription user-left → leaver\n- queue leaver\n"), "{stdout}");
    let remove = if bus.is_embedded() { 4 } else { 5 };
    assert!(stderr.contains(&format!("Plan: 0 to make, 1 to change, {remove} to remove")), "{stderr}");

    let (code, stdout, _) = topology(&bus, &["verify"]).await;
    assert_eq!(code, 1);
    assert!(stdout.starts_with("RedrivePolicy.maxReceiveCount of queue user-service is 7, should be 20\n"), "{stdout}");
}

async fn topology_apply_removes_nothing_unless_told_to_prune(bus: TestBus) {
    apply_an_older_topology(&bus).await;
    let (code, stdout, stderr) = topology(&bus, &["apply"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("  topic user-left is in no topology: would be removed with --prune\n"), "{stdout}");
    // Left over is not wrong: an older release sees a newer one's queues.
    let (code, stdout, _) = topology(&bus, &["verify"]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("queue leaver is in no topology"), "{stdout}");

    let (code, stdout, stderr) = topology(&bus, &["apply", "--prune"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("- topic user-left\n") && stdout.contains("- queue leaver-dlq\n"), "{stdout}");
    let (code, stdout, _) = topology(&bus, &["verify"]).await;
    assert_eq!((code, stdout.as_str()), (0, ""));
}

async fn a_queue_that_holds_messages_is_refused_by_name_with_its_counts(bus: TestBus) {
    apply_an_older_topology(&bus).await;
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    bus.queue("leaver").await.send(&[message]).await[0].as_ref().unwrap();
    let (code, stdout, stderr) = topology(&bus, &["apply", "--prune"]).await;
    assert_eq!(code, 1);
    let line = "queue leaver is in no topology, and stays: holds messages: 1 visible, 0 in flight\n";
    assert!(stdout.contains(line), "{stdout}");
    assert!(stderr.contains("--prune-with-messages"), "{stderr}");
    assert_eq!(bus.queue("leaver").await.counts().await.unwrap().visible, 1);

    let (code, _, stderr) = topology(&bus, &["apply", "--prune-with-messages"]).await;
    assert_eq!(code, 2, "{stderr}");
    let (code, stdout, _) = topology(&bus, &["apply", "--prune", "--prune-with-messages"]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("- queue leaver\n"), "{stdout}");
}

/// Each of its deliveries would end as a dead letter.
#[tokio::test]
async fn a_subscription_that_delivers_what_nobody_handles_is_drift() {
    let bus = fixtures::embedded_bus().await;
    let events = [EventType::new("user.created"), EventType::new("user.left")].into();
    let subscriber = Subscriber { consumer: "user-service".to_owned(), events, settings: QueueSettings::DEFAULT };
    bus.bus.apply(&Topology { subscribers: vec![subscriber], ..Topology::default() }).await.unwrap();
    let (code, stdout, _) = topology(&bus, &["verify"]).await;
    assert_eq!(code, 1);
    let line =
        "subscription user-left → user-service is in no topology, and delivers what its consumer does not handle";
    assert!(stdout.contains(line), "{stdout}");
    assert_eq!(topology(&bus, &["apply", "--prune"]).await.0, 0);
    assert_eq!(topology(&bus, &["verify"]).await.0, 0);
}

#[tokio::test]
async fn the_picture_in_the_documentation_is_what_the_handlers_say() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let (code, picture, _) = run(&["topology", "graph"], &[]).await;
    assert_eq!(code, 0);
    let shown = std::fs::read_to_string(&file).unwrap();
    let block = format!("```mermaid\n{picture}```\n");
    assert!(
        shown.contains(&block),
        "{} does not show what `waypost topology graph` prints:\n{picture}",
        file.display()
    );
    let (code, dot, _) = run(&["topology", "graph", "--format", "dot"], &[("WAYPOST_NAME_PREFIX", "dev-")]).await;
    assert_eq!(code, 0);
    assert!(dot.starts_with("digraph topology {\n") && dot.contains("label=\"dev-user-service-dlq\""), "{dot}");
}
