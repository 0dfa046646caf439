//! Several consumers, each with an inbox of its own: what tools show of all of them, and of one.

use fixtures::{TestBus, on_both_buses};
use serde_json::Value;

use crate::{
    mailing::{Mailing, reactivated},
    run,
    running::Installation,
};

on_both_buses!(
    dead_letters_of_every_consumer_are_listed_and_each_is_worked_with_in_its_own_database,
    a_consumer_without_a_database_is_said_to_be_left_out_and_one_that_does_not_answer_hides_no_other,
    every_consumer_is_looked_at_or_the_one_that_is_named,
);

/// An installation with a mailer.
struct Both {
    installation: Installation,
    mailing: Mailing,
}

impl Both {
    async fn make(bus: TestBus) -> Self {
        let (installation, mailing) = tokio::join!(Installation::make(bus), Mailing::make());
        Self { installation, mailing }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        [self.installation.environment(), self.mailing.environment()].concat()
    }

    async fn run_with(&self, arguments: &[&str], more: &[(&'static str, &str)]) -> (i32, String, String) {
        let environment = self.environment();
        let environment = environment.iter().map(|(name, value)| (*name, value.as_str()));
        run(arguments, &environment.chain(more.iter().copied()).collect::<Vec<_>>()).await
    }

    async fn json(&self, arguments: &[&str], expected: i32) -> Value {
        let (code, stdout, stderr) = self.run_with(&[arguments, &["--json"]].concat(), &[]).await;
        assert_eq!(code, expected, "{arguments:?}: {stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    async fn bury_in(&self, queue: &str, message: messaging::OutgoingMessage) {
        self.installation.bus.queue(queue).await.send(&[message]).await[0].as_ref().unwrap();
    }
}

async fn operations(database: &fixtures::TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM redrive_operations").fetch_one(&database.pool).await.unwrap()
}

fn of_consumer<'a>(rows: &'a Value, consumer: &str) -> &'a Value {
    let mut rows = rows.as_array().unwrap().iter();
    rows.find(|row| row["consumer"] == consumer && row["kind"] == "dead-letters").unwrap()
}

async fn dead_letters_of_every_consumer_are_listed_and_each_is_worked_with_in_its_own_database(bus: TestBus) {
    let both = Both::make(bus).await;
    let (event, letter) = reactivated("ada@example.com");
    both.bury_in("mailer-dlq", letter).await;

    let rows = both.json(&["dlq", "list"], 0).await;
    assert_eq!(of_consumer(&rows, "mailer")["letters"], 1, "{rows}");
    assert_eq!(of_consumer(&rows, "user-service")["letters"], 0, "{rows}");
    let rows = both.json(&["dlq", "list", "--consumer", "user-service"], 0).await;
    assert!(rows.as_array().unwrap().iter().all(|row| row["consumer"] == "user-service"), "{rows}");

    let (code, stdout, stderr) = both.run_with(&["dlq", "stats"], &[]).await;
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{stdout}");
    for (line, expected) in lines.iter().zip(["CONSUMER", "user-service", "mailer", "auth-service"]) {
        assert!(line.contains(expected), "{stdout}");
    }
    // A single line says of one what it always said.
    let (_, stdout, _) = both.run_with(&["dlq", "stats", "--consumer", "mailer"], &[]).await;
    assert!(!stdout.contains("CONSUMER") && !stdout.contains("mailer"), "{stdout}");

    // Without its name it is another's queue.
    let id = event.to_string();
    let (code, ..) = both.run_with(&["dlq", "show", &id], &[]).await;
    assert_eq!(code, 3);
    let shown = both.json(&["dlq", "show", "--consumer", "mailer", &id], 0).await;
    assert_eq!(shown["today"]["verdict"], "would-be-taken", "{shown}");
    let replay =
        ["dlq", "replay", "--consumer", "mailer", "--all-matching", "--execute", "--reason", "a test of the mailer"];
    both.json(&replay, 0).await;
    assert_eq!(operations(&both.mailing.database).await, 1);
    assert_eq!(operations(&both.installation.user).await, 0);
    assert_eq!(both.installation.bus.queue("mailer").await.counts().await.unwrap().visible, 1);
    let history = both.json(&["dlq", "history", "--consumer", "mailer"], 0).await;
    assert_eq!(history[0]["consumer"], "mailer", "{history}");
    assert_eq!(both.json(&["dlq", "history"], 0).await, serde_json::json!([]));
}

async fn a_consumer_without_a_database_is_said_to_be_left_out_and_one_that_does_not_answer_hides_no_other(
    bus: TestBus,
) {
    let both = Both::make(bus).await;
    let left_out = "mailer is left out, since MAILER_DATABASE_URL is not set";
    for command in ["list", "stats"] {
        let (code, stdout, stderr) = both.installation.run(&["dlq", command]).await;
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains(left_out) && !stdout.contains("mailer"), "{stdout}{stderr}");
    }
    // Unless it is what was asked for.
    let (code, _, stderr) = both.installation.run(&["dlq", "list", "--consumer", "mailer"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAILER_DATABASE_URL is not set"), "{stderr}");

    both.mailing.database.take_down().await;
    for command in ["list", "stats"] {
        let (code, stdout, stderr) = both.run_with(&["dlq", command], &[("STARTUP_PATIENCE_SECONDS", "1")]).await;
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("mailer was not looked at: "), "{stderr}");
        let expected = if command == "list" { "user-service-dlq" } else { "WAITING" };
        assert!(stdout.contains(expected), "{stdout}");
    }
}

async fn every_consumer_is_looked_at_or_the_one_that_is_named(bus: TestBus) {
    let both = Both::make(bus).await;
    for database in ["user", "mailer", "auth"] {
        let (code, _, stderr) = both.run_with(&["migrate", "--database", database], &[]).await;
        assert_eq!(code, 0, "{stderr}");
    }
    let abouts = async |arguments: &[&str]| {
        let checks = both.json(arguments, 0).await;
        let checks: Vec<Value> = serde_json::from_value(checks).unwrap();
        let weeks = checks.iter().filter(|check| check["id"] == "inbox-weeks" || check["id"] == "queue-exists");
        let mut abouts: Vec<_> = weeks.map(|check| check["about"].as_str().unwrap().to_owned()).collect();
        abouts.retain(|about| !about.contains("failures"));
        abouts.sort();
        (checks, abouts)
    };
    let prefix = &both.installation.bus.prefix;
    let [auth, mailer, user] = ["auth-service", "mailer", "user-service"].map(|name| format!("queue {prefix}{name}"));
    let (checks, looked_at) = abouts(&["doctor"]).await;
    let inboxes = ["auth_db", "mailer_db", "user_db"].map(|database| format!("event_logs of {database}"));
    assert_eq!(looked_at, [&inboxes[..], &[auth, mailer.clone(), user]].concat());
    // What is one check stays one, by its name.
    let name = |check: &Value| (check["id"].to_string(), check["about"].to_string());
    let twice: Vec<_> =
        checks.iter().filter(|check| checks.iter().filter(|other| name(other) == name(check)).count() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    let (_, looked_at) = abouts(&["doctor", "--consumer", "mailer"]).await;
    assert_eq!(looked_at, ["event_logs of mailer_db", mailer.as_str()]);

    // A fleet is whole where each of them has somebody at work.
    let at_work = "INSERT INTO workers (worker, consumer, queue, version, state, in_flight, started_at, seen_at,
                                        received_per_second, applied_per_second, failed_per_second)
                   VALUES ('host:' || $1, $1, $1, '0.1.0', 'working', 0, now(), now(), 1, 2.5, 0)";
    sqlx::query(at_work).bind("user-service").execute(&both.installation.user.pool).await.unwrap();
    sqlx::query(at_work).bind("auth-service").execute(&both.installation.auth.pool).await.unwrap();
    let (code, stdout, stderr) = both.run_with(&["fleet"], &[]).await;
    assert_eq!(code, 1, "{stdout}");
    assert!(stderr.contains("no worker is at work for mailer: `waypost run mailer` starts one"), "{stderr}");
    assert!(!stderr.contains("user-service"), "{stderr}");
    sqlx::query(at_work).bind("mailer").execute(&both.mailing.database.pool).await.unwrap();
    let fleet = both.json(&["fleet"], 0).await;
    let consumers: Vec<_> = fleet.as_array().unwrap().iter().map(|row| row["consumer"].as_str().unwrap()).collect();
    assert_eq!(consumers, ["user-service", "mailer", "auth-service"]);
    let fleet = both.json(&["fleet", "--consumer", "mailer"], 0).await;
    assert_eq!(fleet.as_array().unwrap().len(), 1, "{fleet}");
}

#[tokio::test]
async fn a_queue_is_named_for_one_consumer_and_the_name_for_all_is_refused_where_there_are_several() {
    let own = |name| (name, "http://127.0.0.1:4566/000000000000/elsewhere");
    let databases = [
        ("AUTH_DATABASE_URL", "postgresql://ada@127.0.0.1:9/auth_db"),
        ("USER_DATABASE_URL", "postgresql://ada@127.0.0.1:9/user_db"),
        ("MAILER_DATABASE_URL", "postgresql://ada@127.0.0.1:9/mailer_db"),
    ];
    let mails = [
        ("MAILER_KEYS_DIR", "/keys"),
        ("MAIL_FOLDER", "/mails"),
        ("MAIL_FROM", "no-reply@shop.example.com"),
        ("MAIL_LINK_BASE", "http://localhost:8000"),
    ];
    let settings = async |service: &str, more: &[(&'static str, &'static str)]| {
        let keys = fixtures::auth_keys();
        let keys: Vec<_> = keys.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(&["settings", service], &[&databases[..], &mails, &keys, more].concat()).await
    };
    for service in ["user-worker", "mailer", "auth-worker"] {
        let (code, _, stderr) = settings(service, &[own("SQS_QUEUE_URL")]).await;
        assert_eq!(code, 0, "{service}: {stderr}");
    }
    let (code, _, stderr) = settings("all", &[own("SQS_QUEUE_URL")]).await;
    assert_eq!(code, 2);
    for name in ["USER_WORKER_SQS_QUEUE_URL", "MAILER_SQS_QUEUE_URL", "AUTH_WORKER_SQS_QUEUE_URL"] {
        assert!(stderr.contains(&format!("there are several queues here: {name} names this consumer's")), "{stderr}");
    }
    let (code, stdout, stderr) =
        settings("all", &[own("USER_WORKER_SQS_QUEUE_URL"), own("MAILER_SQS_QUEUE_URL")]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");

    // The bus in PostgreSQL has no such URLs, and the name that is wrong is the one that was set.
    let embedded = [
        own("MAILER_SQS_QUEUE_URL"),
        ("EVENT_PUBLISHER_TYPE", "postgres"),
        ("BUS_DATABASE_URL", "postgresql://ada@127.0.0.1:9/bus_db"),
    ];
    let (code, _, stderr) = settings("mailer", &embedded).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAILER_SQS_QUEUE_URL is `http://"), "{stderr}");
}
