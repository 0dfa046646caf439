use fixtures::{TestDatabase, eventually};
use schemas::{Clock, InboxKey};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::process::Child;
use uuid::Uuid;

use crate::{
    outbox::append_event,
    run,
    running::{Installation, free_port, terminate},
};

/// An inbox that holds what the test says.
struct Inbox {
    database: TestDatabase,
    now: OffsetDateTime,
}

#[derive(Clone, Copy)]
struct Row<'a> {
    id: &'a str,
    source: &'a str,
    event_type: &'a str,
    subject: &'a str,
    ago: Duration,
}

const ROW: Row<'_> =
    Row { id: "", source: "auth-service", event_type: "user.created", subject: "7", ago: Duration::ZERO };

impl Inbox {
    async fn make() -> Self {
        let (database, now) = (fixtures::user_database().await, Clock::system().now());
        worker::maintain_inbox(&database.pool, now).await.unwrap();
        Self { database, now }
    }

    fn key(&self, row: &Row<'_>) -> Uuid {
        InboxKey::of(row.id, row.source, Some(self.now - row.ago)).unwrap().as_uuid()
    }

    /// Puts an applied event into it, as a worker does.
    async fn apply(&self, row: Row<'_>) -> Uuid {
        let (key, event_time) = (self.key(&row), self.now - row.ago);
        sqlx::query(
            "INSERT INTO event_logs (event_key, event_id, event_type, schema_version, source, subject, handler, event_time)
             VALUES ($1, $2, $3, 2, $4, $5, 'record_profile', $6)",
        )
        .bind(key)
        .bind(row.id)
        .bind(row.event_type)
        .bind(row.source)
        .bind(row.subject)
        .bind(event_time)
        .execute(&self.database.pool)
        .await
        .unwrap();
        key
    }

    /// An event with an id of its own, which is answered.
    async fn apply_new(&self, row: Row<'_>) -> String {
        let id = schemas::event_id(self.now - row.ago).to_string();
        self.apply(Row { id: &id, ..row }).await;
        id
    }

    async fn fail(&self, row: Row<'_>, attempt: i32, dead_lettered: bool) {
        sqlx::query(
            "INSERT INTO event_failures (failure_id, event_key, event_id, event_type, message_id, queue, handler, attempt,
                                         class, reason, message, causes, fingerprint, worker, version, receive_count,
                                         dead_lettered, failed_at)
             VALUES ($1, $2, $3, $4, 'm', 'user-service', 'record_profile', $5, 'retry', 'retries-exhausted',
                     'could not check out', '{no cart}', 'f', 'host:1', '0.1.0', $5, $6, $7)",
        )
        .bind(schemas::event_id(self.now + Duration::milliseconds(attempt.into())))
        .bind(self.key(&row))
        .bind(row.id)
        .bind(row.event_type)
        .bind(attempt)
        .bind(dead_lettered)
        .bind(self.now)
        .execute(&self.database.pool)
        .await
        .unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments: Vec<_> = ["event-log"].iter().chain(arguments).copied().collect();
        run(&arguments, &[("USER_DATABASE_URL", self.database.url.as_str())]).await
    }

    async fn found(&self, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<_> = ["find", "--json"].iter().chain(arguments).copied().collect();
        let (code, stdout, stderr) = self.run(&arguments).await;
        assert_eq!(code, 0, "{stderr}");
        let rows: Vec<Value> = serde_json::from_str(&stdout).unwrap();
        rows.iter().map(|row| row["eventId"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn events_are_found_by_id_user_type_and_time_the_newest_first() {
    let inbox = Inbox::make().await;
    let (ada, bob) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let old = inbox.apply_new(Row { subject: &ada, ago: Duration::days(9), ..ROW }).await;
    let left = inbox.apply_new(Row { subject: &bob, event_type: "user.left", ago: Duration::hours(3), ..ROW }).await;
    let new = inbox.apply_new(Row { subject: &bob, ago: Duration::minutes(5), ..ROW }).await;
    inbox.apply(Row { id: "order-17", source: "shop", ago: Duration::hours(1), ..ROW }).await;
    let order = "order-17";

    assert_eq!(inbox.found(&[]).await, [new.as_str(), order, &left, &old]);
    assert_eq!(inbox.found(&["--id", &old.to_uppercase(), "--id", order]).await, [order, old.as_str()]);
    assert_eq!(inbox.found(&["--id", &schemas::event_id(inbox.now).to_string()]).await, Vec::<String>::new());
    assert_eq!(inbox.found(&["--user", &bob.to_uppercase()]).await, [new.as_str(), &left]);
    assert_eq!(inbox.found(&["--type", "user.left"]).await, [left.as_str()]);
    assert_eq!(inbox.found(&["--type", "user.left", "--user", &ada]).await, Vec::<String>::new());
    assert_eq!(inbox.found(&["--since", "2h"]).await, [new.as_str(), order]);
    assert_eq!(inbox.found(&["--since", "4h", "--until", "30m"]).await, [order, left.as_str()]);
    let days = (inbox.now - Duration::days(2)).format(&time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!(inbox.found(&["--until", &days]).await, [old.as_str()]);
    assert_eq!(inbox.found(&["--limit", "2"]).await, [new.as_str(), order]);
}

#[tokio::test]
async fn the_table_fits_80_columns_and_says_whether_it_was_cut() {
    let inbox = Inbox::make().await;
    let (code, stdout, stderr) = inbox.run(&["find"]).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", "no event that was applied is like that\n"));
    let subject = Uuid::new_v4().to_string();
    let event_type = "user.email.verification.requested";
    let mut ids = Vec::new();
    for minutes in 1..=3 {
        ids.push(inbox.apply_new(Row { subject: &subject, event_type, ago: Duration::minutes(minutes), ..ROW }).await);
    }
    let (_, stdout, stderr) = inbox.run(&["find"]).await;
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    for shown in [ids[2].as_str(), &subject, "user.email.verification.requested@2"] {
        assert!(stdout.contains(shown), "{stdout}");
    }
    assert_eq!(stderr, "3 events\n");
    let (_, _, stderr) = inbox.run(&["find", "--limit", "2"]).await;
    assert_eq!(stderr, "2 events, cut by --limit 2: there are more\n");
    let (_, _, stderr) = inbox.run(&["find", "--id", "order-17", "--id", &ids[0]]).await;
    assert!(stderr.starts_with("1 event\nnot among them: order-17; "), "{stderr}");
}

#[tokio::test]
async fn a_wrong_command_line_or_setting_is_named_with_what_it_should_be() {
    let url = [("USER_DATABASE_URL", "postgresql://127.0.0.1:1/x")];
    let wrong: [(&[&str], [&str; 3]); 5] = [
        (&["find", "--since", "yesterday"], ["--since", "yesterday", "should be a time such as 2026-11-22T12:00:00Z"]),
        (&["find", "--until=-3d"], ["--until", "-3d", "should be"]),
        (&["find", "--user", "ada"], ["--user", "ada", ""]),
        (&["find", "--limit", "0"], ["--limit", "0", "1..=100000"]),
        (&["show"], ["<ID>", "", ""]),
    ];
    for (arguments, expected) in wrong {
        let arguments: Vec<_> = ["event-log"].iter().chain(arguments).copied().collect();
        let (code, stdout, stderr) = run(&arguments, &url).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(expected.iter().all(|text| stderr.contains(text)), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = run(&["event-log", "show", "x"], &[("AUTH_DATABASE_URL", "nonsense")]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("USER_DATABASE_URL is not set") && stderr.contains("AUTH_DATABASE_URL"), "{stderr}");
}

#[tokio::test]
async fn an_event_that_left_no_trace_is_unknown_and_exits_with_1() {
    let inbox = Inbox::make().await;
    let id = schemas::event_id(inbox.now).to_string();
    let (code, stdout, stderr) = inbox.run(&["show", &id]).await;
    assert_eq!((code, stdout.as_str()), (1, "unknown\n"));
    assert!(stderr.contains("the outbox was not looked at: AUTH_DATABASE_URL is not set"), "{stderr}");
    assert!(stderr.contains(&format!("no event `{id}` in event_logs or event_failures\n")), "{stderr}");
    let (code, stdout, _) = inbox.run(&["show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    let nothing = json!({ "eventId": id, "verdict": "unknown", "outboxRead": false, "outbox": null, "failures": [],
        "operators": [], "applied": null });
    assert_eq!((code, shown), (1, nothing));

    let old = schemas::event_id(inbox.now - Duration::days(60)).to_string();
    let (code, _, stderr) = inbox.run(&["show", &old]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("is forgotten"), "{stderr}");
}

/// Ids are unique within their source only.
#[tokio::test]
async fn events_of_two_producers_with_one_id_are_told_apart_by_their_keys() {
    let inbox = Inbox::make().await;
    let shop = Row { id: "17", source: "shop", ..ROW };
    let key = inbox.apply(Row { id: "17", source: "bank", ago: Duration::days(1), ..ROW }).await.to_string();
    inbox.fail(shop, 1, false).await;
    let (code, stdout, stderr) = inbox.run(&["show", "17"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("2 events have the id `17`") && stderr.contains(&key), "{stderr}");
    let (code, stdout, _) = inbox.run(&["show", &key]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("of bank") && stdout.ends_with("\napplied\n"), "{stdout}");
    let (code, stdout, _) = inbox.run(&["show", &inbox.key(&shop).to_string()]).await;
    assert_eq!(code, 0);
    assert!(stdout.ends_with("\nfailing (attempt 1)\n"), "{stdout}");
}

#[tokio::test]
async fn every_attempt_is_told_with_its_reason_and_an_outbox_that_is_away_holds_nothing_up() {
    let inbox = Inbox::make().await;
    let id = schemas::event_id(inbox.now).to_string();
    for (attempt, dead_lettered) in [(1, false), (2, true)] {
        inbox.fail(Row { id: &id, ..ROW }, attempt, dead_lettered).await;
    }
    let environment = [
        ("USER_DATABASE_URL", inbox.database.url.as_str()),
        ("AUTH_DATABASE_URL", "postgresql://127.0.0.1:1/auth_db"),
        ("STARTUP_PATIENCE_SECONDS", "1"),
    ];
    let (code, stdout, stderr) = run(&["event-log", "show", &id], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("the outbox was not looked at: PostgreSQL auth_db at 127.0.0.1:1"), "{stderr}");
    assert!(stderr.contains(&format!("`waypost dlq show {id}`")), "{stderr}");
    for text in [
        "failed         attempt 1, retries-exhausted (retry): could not check out",
        "dead-lettered  attempt 2, retries-exhausted (retry): could not check out",
        "because: no cart",
        "by host:1 in record_profile, version 0.1.0",
    ] {
        assert!(stdout.contains(text), "{text} in {stdout}");
    }
    assert!(stdout.ends_with("\ndead\n"), "{stdout}");
}

impl Installation {
    async fn verdict(&self, id: &str) -> String {
        let (code, stdout, stderr) = self.run(&["event-log", "show", id]).await;
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(!stdout.contains("@example.com"), "{stdout}");
        stdout.lines().last().unwrap().to_owned()
    }

    async fn start_worker(&self) -> Child {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        self.start(&["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", &listen)], port).await
    }

    async fn until_the_inbox_has(&self, what: &str, count: &'static str) {
        eventually(what, async || {
            let count: i64 = sqlx::query_scalar(count).fetch_one(&self.user.pool).await.unwrap();
            (count > 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_event_is_followed_from_the_outbox_to_its_death_and_to_the_inbox_once_it_is_replayed() {
    let installation = Installation::make(fixtures::embedded_bus().await).await;
    let id = append_event(&installation.auth, Clock::system().now()).await.to_string();
    assert_eq!(installation.verdict(&id).await, "waiting in the outbox");

    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let relay =
        installation.start(&["run", "relay", "--service", "auth"], &[("RELAY_ADMIN_LISTEN", &listen)], port).await;
    eventually("it is published", async || {
        let published = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE status = 'published'");
        let published: i64 = published.fetch_one(&installation.auth.pool).await.unwrap();
        (published == 1).then_some(())
    })
    .await;
    terminate(relay).await;
    assert_eq!(installation.verdict(&id).await, "published, not yet applied");

    let refuse = "ALTER TABLE user_profiles ADD CONSTRAINT no_ada CHECK (email <> 'ada@example.com')";
    sqlx::query(refuse).execute(&installation.user.pool).await.unwrap();
    let worker = installation.start_worker().await;
    let failures = "SELECT count(*) FROM event_failures WHERE dead_lettered";
    installation.until_the_inbox_has("it is dead-lettered", failures).await;
    terminate(worker).await;
    assert_eq!(installation.verdict(&id).await, "dead");

    let mend = "ALTER TABLE user_profiles DROP CONSTRAINT no_ada";
    sqlx::query(mend).execute(&installation.user.pool).await.unwrap();
    let (code, _, stderr) = installation.run(&["dlq", "replay", "--id", &id, "--execute", "--reason", "mended"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(installation.verdict(&id).await, "replayed, not yet applied");
    let worker = installation.start_worker().await;
    installation.until_the_inbox_has("it is applied", "SELECT count(*) FROM event_logs").await;
    terminate(worker).await;
    assert_eq!(installation.verdict(&id).await, "applied after failing");

    let (_, stdout, _) = installation.run(&["event-log", "show", &id]).await;
    let stations = ["written", "published", "dead-lettered", "operator", "applied"]
        .map(|what| stdout.find(&format!("Z  {what} ")));
    assert!(stations.iter().all(Option::is_some) && stations.is_sorted(), "{stations:?} in {stdout}");
    let (_, stdout, _) = installation.run(&["event-log", "show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["verdict"], "applied after failing");
    assert_eq!(shown["outbox"]["state"], "published");
    assert_eq!(shown["failures"][0]["reason"], "rejected");
    assert_eq!(shown["operators"][0]["reason"], "mended");
    assert_eq!(shown["applied"]["handler"], "record_profile");
}
