use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use fixtures::TestDatabase;
use messaging::MockPublisher;
use outbox::{OUTBOX, Relay, RelaySettings};
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1};
use serde_json::Value;
use sqlx::{AssertSqlSafe, postgres::PgListener};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::run;

/// As a producer writes it at that time.
pub async fn append_event(database: &TestDatabase, now: OffsetDateTime) -> Uuid {
    partitions::maintain(&database.pool, OUTBOX, now).await.unwrap();
    let event = UserCreatedV1 {
        user_id: schemas::event_id(now),
        email: "ada@example.com".to_owned().try_into().unwrap(),
        timestamp: now,
        source: "auth-service".to_owned(),
    };
    let (id, sequence) = (schemas::event_id(now), Sequence::after(None, now));
    let header = Header { id, source: "auth-service", time: now, sequence, traceparent: None };
    let envelope = Envelope::new(&event, header).unwrap();
    outbox::append(&mut database.pool.acquire().await.unwrap(), &envelope).await.unwrap();
    id
}

struct Outbox {
    database: TestDatabase,
    started: OffsetDateTime,
    appended: AtomicI64,
}

impl Outbox {
    async fn make() -> Self {
        let database = fixtures::auth_database().await;
        Self { database, started: Clock::system().now(), appended: AtomicI64::new(0) }
    }

    /// Each a millisecond after the one before, so that their ids have an order.
    async fn append(&self) -> Uuid {
        let before = self.appended.fetch_add(1, Ordering::Relaxed);
        append_event(&self.database, self.started + Duration::milliseconds(before)).await
    }

    /// A row that something has become of.
    async fn append_and_set(&self, assignments: &str) -> Uuid {
        let id = self.append().await;
        let update = AssertSqlSafe(format!("UPDATE outbox SET {assignments} WHERE event_id = $1"));
        sqlx::query(update).bind(id).execute(&self.database.pool).await.unwrap();
        id
    }

    async fn append_failed(&self) -> Uuid {
        self.append_and_set("status = 'failed', attempts = 1, last_error = 'refused: InvalidParameter: not this one'")
            .await
    }

    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments: Vec<_> = ["outbox"].iter().chain(arguments).copied().collect();
        let (code, stdout, stderr) = run(&arguments, &[("AUTH_DATABASE_URL", self.database.url.as_str())]).await;
        assert!(!format!("{stdout}{stderr}").contains("@example.com"), "personal data is not shown: {stdout}{stderr}");
        (code, stdout, stderr)
    }

    async fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let arguments: Vec<_> = arguments.iter().chain(&["--json"]).copied().collect();
        let (code, stdout, stderr) = self.run(&arguments).await;
        (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
    }

    async fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<_> = ["list"].iter().chain(arguments).copied().collect();
        let (code, rows) = self.json(&arguments).await;
        assert_eq!(code, 0);
        rows.as_array().unwrap().iter().map(|row| row["eventId"].as_str().unwrap().to_owned()).collect()
    }

    async fn status_and_attempts(&self, id: Uuid) -> (String, i32) {
        let row = sqlx::query_as("SELECT status, attempts FROM outbox WHERE event_id = $1").bind(id);
        row.fetch_one(&self.database.pool).await.unwrap()
    }

    async fn relay_once(&self) -> usize {
        let bus = Arc::new(MockPublisher::default());
        let relay = Relay::new(self.database.pool.clone(), bus, RelaySettings::default(), Clock::system());
        relay.relay_once().await.unwrap().published
    }
}

const LATER: &str = "due_at = now() + interval '1 hour'";

#[tokio::test]
async fn a_backlog_is_counted_by_what_it_waits_for() {
    let outbox = Outbox::make().await;
    let (code, empty) = outbox.json(&["status"]).await;
    assert_eq!((code, &empty["due"], &empty["oldestDueSeconds"]), (0, &Value::from(0), &Value::Null));

    outbox.append().await;
    assert_eq!(outbox.relay_once().await, 1);
    outbox.append_and_set("created_at = now() - interval '90 seconds'").await;
    outbox.append_and_set("lease_token = gen_random_uuid(), due_at = now() - interval '1 second'").await;
    outbox.append_and_set(&format!("lease_token = gen_random_uuid(), {LATER}")).await;
    outbox.append_and_set(&format!("attempts = 2, {LATER}")).await;
    outbox.append_and_set("not_before = now() + interval '1 hour', due_at = now() + interval '1 hour'").await;
    outbox.append_failed().await;

    let (code, status) = outbox.json(&["status"]).await;
    assert_eq!(code, 0);
    let counts = ["due", "leased", "backingOff", "delayed", "failed", "publishedLastHour"].map(|name| &status[name]);
    assert_eq!(counts.map(|count| count.as_i64().unwrap()), [2, 1, 1, 1, 1, 1], "{status}");
    let oldest = status["oldestDueSeconds"].as_f64().unwrap();
    assert!((90.0..300.0).contains(&oldest), "{status}");
    let (code, stdout, stderr) = outbox.run(&["status"]).await;
    assert_eq!(code, 0);
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    assert!(stdout.contains("backing off") && stderr.contains("waypost outbox list --failed"), "{stdout}{stderr}");
}

#[tokio::test]
async fn failed_and_stuck_rows_are_told_from_those_that_only_wait() {
    let outbox = Outbox::make().await;
    outbox.append().await;
    assert_eq!(outbox.relay_once().await, 1);
    let failed = outbox.append_failed().await.to_string();
    let tried = outbox.append_and_set("attempts = 3, last_error = 'not available: Down: no route'").await.to_string();
    let overdue = outbox.append_and_set("due_at = now() - interval '2 minutes'").await.to_string();
    let fresh = outbox.append().await.to_string();
    let backing_off = outbox.append_and_set(&format!("attempts = 3, {LATER}")).await.to_string();

    assert_eq!(outbox.listed(&["--failed"]).await, [failed.as_str()]);
    assert_eq!(outbox.listed(&["--stuck"]).await, [tried.as_str(), &overdue]);
    assert_eq!(outbox.listed(&["--failed", "--stuck"]).await, [failed.as_str(), &tried, &overdue]);
    assert_eq!(outbox.listed(&[]).await, [failed.as_str(), &tried, &overdue, &fresh, &backing_off]);
    assert_eq!(outbox.listed(&["--type", "user.created", "--limit", "2"]).await, [failed.as_str(), &tried]);
    assert_eq!(outbox.listed(&["--type", "user.left"]).await, Vec::<String>::new());

    let (_, stdout, stderr) = outbox.run(&["list", "--failed", "--stuck", "--limit", "2"]).await;
    assert!(stdout.contains("refused: InvalidParameter: not this one"), "{stdout}");
    assert!(stdout.contains("not available: Down: no route"), "{stdout}");
    assert!(stderr.contains("2 failed or stuck, cut by --limit 2: there are more"), "{stderr}");
    let (_, stdout, stderr) = outbox.run(&["list", "--type", "user.left"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no row is unpublished\n"));
}

#[tokio::test]
async fn a_failed_row_is_retried_once_asked_and_a_relay_is_told() {
    let outbox = Outbox::make().await;
    let id = outbox.append_failed().await;
    let asked = id.to_string();
    let mut relay = PgListener::connect(&outbox.database.url).await.unwrap();
    relay.listen("waypost_outbox").await.unwrap();

    let (code, stdout, stderr) = outbox.run(&["retry", &asked]).await;
    assert_eq!((code, stdout), (0, format!("would be pending again: {asked}\n")), "{stderr}");
    assert!(stderr.contains("--execute does it"), "{stderr}");
    assert_eq!(outbox.status_and_attempts(id).await, ("failed".to_owned(), 1));
    assert_eq!(outbox.relay_once().await, 0);

    let (code, stdout, _) = outbox.run(&["retry", &asked, "--execute"]).await;
    assert_eq!((code, stdout), (0, format!("pending again: {asked}\n")));
    assert_eq!(outbox.status_and_attempts(id).await, ("pending".to_owned(), 1), "attempts go on counting");
    tokio::time::timeout(fixtures::DEADLINE, relay.recv()).await.expect("a relay is told").unwrap();
    assert_eq!(outbox.relay_once().await, 1);
    assert_eq!(outbox.status_and_attempts(id).await, ("published".to_owned(), 2));

    let (code, stdout, stderr) = outbox.run(&["retry", &asked, "--execute"]).await;
    assert_eq!((code, stdout), (1, format!("not failed but published, left alone: {asked}\n")), "{stderr}");
    assert_eq!(outbox.status_and_attempts(id).await, ("published".to_owned(), 2));
}

#[tokio::test]
async fn what_is_no_failed_row_is_left_alone_and_told() {
    let outbox = Outbox::make().await;
    let (failed, due) = (outbox.append_failed().await.to_string(), outbox.append().await);
    let leased = outbox.append_and_set(&format!("lease_token = gen_random_uuid(), {LATER}")).await;
    let unknown = schemas::event_id(Clock::system().now()).to_string();
    let (due_id, leased_id) = (due.to_string(), leased.to_string());
    for execute in [false, true] {
        let mut arguments = vec!["retry", &failed, &due_id, &leased_id, &unknown, &failed];
        arguments.extend(execute.then_some("--execute"));
        let (code, outcome) = outbox.json(&arguments).await;
        assert_eq!((code, outcome["executed"].as_bool()), (1, Some(execute)));
        assert_eq!(outcome["retried"], serde_json::json!([failed]));
        let others = serde_json::json!([{ "id": due_id, "state": "due" }, { "id": leased_id, "state": "leased" }]);
        assert_eq!(outcome["notFailed"], others);
        assert_eq!(outcome["notFound"], serde_json::json!([unknown]));
    }
    let lease = "SELECT lease_token IS NOT NULL AND due_at > now() FROM outbox WHERE event_id = $1";
    let held: bool = sqlx::query_scalar(lease).bind(leased).fetch_one(&outbox.database.pool).await.unwrap();
    assert!(held, "its relay still has it");
}

#[tokio::test]
async fn all_failed_rows_are_retried_and_no_others() {
    let outbox = Outbox::make().await;
    let (code, stdout, stderr) = outbox.run(&["retry", "--all-failed", "--execute"]).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", "nothing to retry\n"));
    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(outbox.append_failed().await.to_string());
    }
    let backing_off = outbox.append_and_set(&format!("attempts = 7, {LATER}")).await;
    for execute in [&["retry", "--all-failed"][..], &["retry", "--all-failed", "--execute"]] {
        let (code, outcome) = outbox.json(execute).await;
        assert_eq!((code, &outcome["retried"]), (0, &serde_json::json!(failed)));
    }
    assert_eq!(outbox.relay_once().await, 3);
    assert_eq!(outbox.status_and_attempts(backing_off).await, ("pending".to_owned(), 7));
}

#[tokio::test]
async fn a_command_line_that_says_too_little_or_too_much_is_refused() {
    let (id, url) = (Uuid::nil().to_string(), [("AUTH_DATABASE_URL", "postgresql://127.0.0.1:1/x")]);
    let wrong: [(&[&str], &str); 5] = [
        (&["retry", "--execute"], "--all-failed"),
        (&["retry", &id, "--all-failed"], "cannot be used with"),
        (&["retry", "order-17"], "order-17"),
        (&["list", "--limit", "0"], "--limit"),
        (
            &["status", "--service", "shop"],
            "invalid value 'shop' for '--service <NAME>'\n  [possible values: auth-service, product-service, user-service]",
        ),
    ];
    for (arguments, expected) in wrong {
        let arguments: Vec<_> = ["outbox"].iter().chain(arguments).copied().collect();
        let (code, stdout, stderr) = run(&arguments, &url).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = run(&["outbox", "status"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("AUTH_DATABASE_URL is not set"), "{stderr}");
}

#[tokio::test]
async fn an_outbox_that_is_away_is_waited_for_and_then_named() {
    let environment = [("AUTH_DATABASE_URL", "postgresql://127.0.0.1:1/auth_db"), ("STARTUP_PATIENCE_SECONDS", "1")];
    let (code, stdout, stderr) = run(&["outbox", "status"], &environment).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("AUTH_DATABASE_URL") && stderr.contains("was not ready within 1 s"), "{stderr}");
}
