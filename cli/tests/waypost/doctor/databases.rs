//! Databases that are not ready, and the bus that is one.

use fixtures::TestDatabase;
use sqlx::AssertSqlSafe;

use crate::running::Installation;

async fn embedded() -> Installation {
    Installation::healthy(fixtures::embedded_bus().await).await
}

async fn in_bus(installation: &Installation, statement: &str) {
    let url = installation.bus.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL").unwrap();
    let pool = sqlx::PgPool::connect(&url.1).await.unwrap();
    let statement = statement.replace("PREFIX", &installation.bus.prefix);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_found_and_mended() {
    let mut installation = embedded().await;
    installation.user = TestDatabase::empty("USER_DATABASE_URL").await;
    installation.is_found_and_mended("migrations", "error", &[]).await;
    assert_eq!(installation.doctor(&[]).await.0, 0);
}

#[tokio::test]
async fn a_week_that_is_missing_is_found_and_made() {
    let installation = embedded().await;
    let weeks = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_logs'::regclass ORDER BY 1";
    let weeks: Vec<String> = sqlx::query_scalar(weeks).fetch_all(&installation.user.pool).await.unwrap();
    let [.., this, _, _, after, _] = &weeks[..] else { panic!("{weeks:?}") };
    for (week, severity) in [(after, "warning"), (this, "error")] {
        let drop = AssertSqlSafe(format!("DROP TABLE {week}"));
        sqlx::raw_sql(drop).execute(&installation.user.pool).await.unwrap();
        installation.is_found_and_mended("inbox-weeks", severity, &[]).await;
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_an_error_and_the_rest_is_looked_at_all_the_same() {
    let installation = embedded().await;
    let url = "postgresql://ada:hunter2@127.0.0.1:9/user_db";
    let more = [("USER_DATABASE_URL", url), ("STARTUP_PATIENCE_SECONDS", "1")];
    let (code, checks) = installation.doctor(&more).await;
    assert_eq!(code, 1);
    let [found] = checks.findings("database-answers")[..] else { panic!("{:#?}", checks.all()) };
    assert_eq!(found["about"], "user_db at 127.0.0.1:9");
    assert_eq!(found["remedy"], "pg_isready --host='127.0.0.1' --port=9");
    assert_eq!(checks.of("max-receive-count")["outcome"], "ok");
    assert!(!format!("{:?}", checks.0).contains("hunter2"));
}

#[tokio::test]
async fn a_bus_that_delivers_nowhere_is_an_error_with_the_variable_that_says_so() {
    let installation = embedded().await;
    let (code, checks) = installation.doctor(&[("EVENT_PUBLISHER_TYPE", "mock")]).await;
    assert_eq!((code, checks.all().len()), (1, 1), "{:#?}", checks.all());
    let [found] = checks.findings("bus-answers")[..] else { panic!("{:#?}", checks.all()) };
    assert_eq!(found["remedy"], "export EVENT_PUBLISHER_TYPE=sns");
}

#[tokio::test]
async fn a_bus_database_that_is_not_migrated_is_found_and_mended() {
    let mut installation = embedded().await;
    let empty = TestDatabase::empty("BUS_DATABASE_URL").await;
    for (name, value) in &mut installation.bus.environment {
        if *name == "BUS_DATABASE_URL" {
            value.clone_from(&empty.url);
        }
    }
    let (code, checks) = installation.doctor(&[]).await;
    assert_eq!(code, 1);
    assert_eq!(checks.of("bus-answers")["outcome"], "untried");
    installation.is_found_and_mended("migrations", "error", &[]).await;
    // Now there is a bus without queues, of whichever consumer.
    let (_, checks) = installation.doctor(&[]).await;
    let missing = checks.findings("queue-exists");
    let apply = missing[0]["remedy"].as_str().unwrap();
    assert!(missing.iter().all(|found| found["remedy"] == apply), "{missing:#?}");
    assert_eq!(installation.doctor_after(apply, &[]).await.0, 0);
}

#[tokio::test]
async fn tables_of_the_embedded_bus_that_were_changed_or_dropped_are_found_and_mended() {
    let installation = embedded().await;
    for (statement, id, severity) in [
        ("DROP TABLE pgmq.\"q_PREFIXuser-service\"", "queue-exists", "error"),
        ("UPDATE bus.queues SET max_receive_count = 2 WHERE name = 'PREFIXuser-service'", "max-receive-count", "error"),
        (
            "UPDATE bus.queues SET max_receive_count = 7 WHERE name = 'PREFIXuser-service'",
            "max-receive-count",
            "warning",
        ),
        (
            "UPDATE bus.queues SET dead_letter_queue = NULL, max_receive_count = NULL WHERE name = 'PREFIXuser-service'",
            "redrive-policy",
            "error",
        ),
        (
            "UPDATE bus.queues SET dead_letter_queue = 'PREFIXuser-service', max_receive_count = 3
              WHERE name = 'PREFIXuser-service-dlq'",
            "dead-letter-redrive",
            "error",
        ),
        (
            r#"UPDATE bus.subscriptions SET filter_policy = '{"type":["user.left"]}'
                WHERE queue = 'PREFIXuser-service' AND topic = 'PREFIXuser-created'"#,
            "filter-policy",
            "error",
        ),
        (
            "DELETE FROM bus.subscriptions WHERE queue = 'PREFIXuser-service' AND topic = 'PREFIXuser-created'",
            "subscription-exists",
            "error",
        ),
        ("DELETE FROM bus.topics WHERE name = 'PREFIXuser-created'", "topic-exists", "error"),
    ] {
        in_bus(&installation, statement).await;
        installation.is_found_and_mended(id, severity, &[]).await;
    }
    let (code, checks) = installation.doctor(&[]).await;
    assert_eq!((code, checks.all().len()), (0, 0), "{:#?}", checks.all());
}

#[tokio::test]
async fn a_queue_that_is_marked_as_another_installations_is_an_error() {
    let installation = embedded().await;
    in_bus(
        &installation,
        "UPDATE bus.queues SET installation = '/other-' WHERE starts_with(name, 'PREFIXuser-service')",
    )
    .await;
    let (code, checks) = installation.doctor(&[]).await;
    assert_eq!((code, checks.findings("mark").len()), (1, 2));
    assert_eq!(checks.findings("mark")[0]["remedy"], "export WAYPOST_NAME_PREFIX=another-");
}

/// SQS's alone, so nothing is said of it where there is none.
#[tokio::test]
async fn what_only_sqs_has_is_not_asked_of_the_embedded_bus() {
    let installation = embedded().await;
    let (_, checks) = installation.doctor(&[]).await;
    for id in ["encryption", "queue-policy", "dead-letter-retention", "dedup-window", "visibility-timeout", "may-find"]
    {
        assert!(checks.0.iter().all(|check| check["id"] != id), "{id}");
    }
}
