//! `waypost doctor`: a healthy installation has no finding; what is broken for real is found, its remedy is run in a
//! shell, and then it is gone.

mod databases;
mod on_aws;
mod starting;

use std::path::Path;

use fixtures::{TestBus, on_both_buses};
use messaging::{OutgoingMessage, QueueSettings, Subscriber, Topology};
use schemas::EventType;
use serde_json::Value;
use tokio::process::Command;

use crate::{run, running::Installation};

on_both_buses!(
    a_healthy_installation_has_no_finding,
    people_get_a_list_by_what_it_is_about,
    a_subscription_that_nobody_handles_is_found_and_mended,
);

/// What people paste commands into, with `waypost` and `aws` where a shell finds them.
const SHELL: &str = r#"aws() { shift 2; "$SHIMS/awslocal" "$@"; }; "#;

impl Installation {
    /// Ready to be worked on.
    async fn healthy(bus: TestBus) -> Self {
        let made = Self::make(bus).await;
        let (code, _, stderr) = made.run(&["migrate", "--database", "user"]).await;
        assert_eq!(code, 0, "{stderr}");
        made
    }

    /// Runs a command in a shell.
    async fn shell(&self, command: &str, more: &[(&str, &str)]) -> (i32, String, String) {
        let binary = Path::new(env!("CARGO_BIN_EXE_waypost")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let shims = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bin");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{SHELL}{command}")]).env_clear().env("PATH", path).env("SHIMS", shims);
        shell.envs(self.environment()).envs(more.iter().copied());
        let output = shell.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// All checks, after a command.
    async fn doctor_after(&self, command: &str, more: &[(&str, &str)]) -> (i32, Checks) {
        let (code, stdout, stderr) =
            self.shell(&format!("{command} >&2 && waypost doctor --consumer user-service --json"), more).await;
        for secret in ["user_pass", "auth_pass", "bus_pass"] {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}{stderr}");
        }
        let checks = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        (code, Checks(checks))
    }

    async fn doctor(&self, more: &[(&str, &str)]) -> (i32, Checks) {
        self.doctor_after("true", more).await
    }

    /// The finding is there, and its remedy, run as it is, takes it away.
    async fn is_found_and_mended(&self, id: &str, severity: &str, more: &[(&str, &str)]) {
        let (code, checks) = self.doctor(more).await;
        let [found] = checks.findings(id)[..] else { panic!("{id} is not in {:#?}", checks.all()) };
        assert_eq!(found["outcome"], severity, "{found:#}");
        assert_eq!(code, i32::from(checks.0.iter().any(|check| check["outcome"] == "error")));
        for field in ["found", "should_be", "why"] {
            assert!(!found[field].as_str().unwrap().is_empty(), "{found:#}");
        }
        let remedy = found["remedy"].as_str().unwrap();
        let (_, checks) = self.doctor_after(remedy, more).await;
        assert!(checks.findings(id).is_empty(), "after `{remedy}`: {:#?}", checks.all());
    }
}

pub struct Checks(Vec<Value>);

impl Checks {
    fn findings(&self, id: &str) -> Vec<&Value> {
        self.all().into_iter().filter(|check| check["id"] == id).collect()
    }

    fn all(&self) -> Vec<&Value> {
        let is_finding = |check: &&Value| ["warning", "error"].iter().any(|outcome| check["outcome"] == **outcome);
        self.0.iter().filter(is_finding).collect()
    }

    fn of(&self, id: &str) -> &Value {
        self.0.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("{id} is not in {:#?}", self.0))
    }
}

async fn a_healthy_installation_has_no_finding(bus: TestBus) {
    let installation = Installation::healthy(bus).await;
    let message = OutgoingMessage { body: "m".to_owned(), ..OutgoingMessage::default() };
    installation.bus.queue("user-service").await.send(&[message]).await[0].as_ref().unwrap();
    let (code, checks) = installation.doctor(&[]).await;
    assert_eq!(checks.all(), Vec::<&Value>::new());
    assert_eq!(code, 0);
    assert_eq!(checks.of("backlog")["found"], "1 waiting, 0 in flight");
    assert_eq!(checks.of("dead-letters")["found"], "0 dead letters");
    let expected = [
        "lease-length",
        "shutdown-grace",
        "pool-size",
        "server-connections",
        "clock",
        "migrations",
        "inbox-weeks",
        "queue-exists",
        "dead-letter-queue-exists",
        "redrive-policy",
        "max-receive-count",
        "dead-letter-redrive",
        "topic-exists",
        "subscription-exists",
        "filter-policy",
        "misdelivery",
    ];
    for id in expected {
        assert_eq!(checks.of(id)["outcome"], "ok", "{id}");
    }
    // What is left out because it would do something is no failure either.
    let (code, stdout, stderr) = installation.run(&["doctor", "--consumer", "user-service", "--strict"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    // Nothing was received, and nothing was left behind.
    let counts = installation.bus.queue("user-service").await.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (1, 0));
}

async fn people_get_a_list_by_what_it_is_about(bus: TestBus) {
    let installation = Installation::healthy(bus).await;
    let (code, stdout, stderr) =
        installation.shell("export SHUTDOWN_GRACE_SECONDS=1; waypost doctor --consumer user-service", &[]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let expected = "settings\n  ok       lease-length\n  warning  shutdown-grace\n             \
                    found      SHUTDOWN_GRACE_SECONDS is 1\n             \
                    should be  30 s or more, since WORKER_HANDLER_TIMEOUT_SECONDS is 30\n";
    assert!(stdout.starts_with(expected), "{stdout}");
    assert!(stdout.contains("\n             remedy     export SHUTDOWN_GRACE_SECONDS=30\n"), "{stdout}");
    let queue = format!("\nqueue {}user-service\n  ok       queue-exists, ", installation.bus.prefix);
    assert!(stdout.contains(&queue), "{stdout}");
    assert!(stderr.contains(" checks: 0 errors, 1 warnings, 0 could not be made"), "{stderr}");
    let strict = "export SHUTDOWN_GRACE_SECONDS=1; waypost doctor --strict";
    assert_eq!(installation.shell(strict, &[]).await.0, 1, "warnings fail where that is asked for");
}

async fn a_subscription_that_nobody_handles_is_found_and_mended(bus: TestBus) {
    let installation = Installation::healthy(bus).await;
    let events = [EventType::new("user.created"), EventType::new("user.left")].into();
    let subscriber = Subscriber { consumer: "user-service".to_owned(), events, settings: QueueSettings::DEFAULT };
    let topology = Topology { subscribers: vec![subscriber], ..Topology::default() };
    installation.bus.bus.apply(&topology).await.unwrap();
    installation.is_found_and_mended("misdelivery", "error", &[]).await;
}

#[tokio::test]
async fn wrong_settings_are_named_and_nothing_is_looked_at() {
    let environment = [("WORKER_BATCH", "0"), ("EVENT_PUBLISHER_TYPE", "kafka")];
    let (code, stdout, stderr) = run(&["doctor", "--consumer", "user-service", "--json"], &environment).await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    for name in ["WORKER_BATCH", "EVENT_PUBLISHER_TYPE", "USER_DATABASE_URL"] {
        assert!(stderr.contains(name), "{stderr}");
    }
}

/// Settings of one process, mended in the shell that starts it.
#[tokio::test]
async fn times_and_connections_that_do_not_go_together_are_found_and_mended() {
    let installation = Installation::healthy(fixtures::embedded_bus().await).await;
    let slow = [("WORKER_HANDLER_TIMEOUT_SECONDS", "45")];
    installation.is_found_and_mended("lease-length", "warning", &slow).await;
    installation.is_found_and_mended("shutdown-grace", "warning", &slow).await;
    for (limit, severity) in [("4", "error"), ("5", "warning")] {
        let url = format!("{}?connection_limit={limit}", installation.user.url);
        // By itself a worker would begin fewer transactions.
        let settings = [("USER_DATABASE_URL", url.as_str()), ("WORKER_CONCURRENCY", "4")];
        installation.is_found_and_mended("pool-size", severity, &settings).await;
    }
    let url = format!("{}?connection_limit=10000", installation.user.url);
    installation.is_found_and_mended("server-connections", "warning", &[("USER_DATABASE_URL", &url)]).await;
}
