//! Wrong settings and missing servers: said clearly, then given up on.

use std::process::Stdio;

use fixtures::required_variable;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{run, waypost};

#[tokio::test]
async fn wrong_settings_stop_a_process_with_all_their_names_and_what_they_should_be() {
    let environment = [
        ("AUTH_DATABASE_URL", "mysql://ada:hunter2@localhost/auth_db"),
        ("EVENT_PUBLISHER_TYPE", "kafka"),
        ("LOCALSTACK_ENDPOINT", "localhost:4566"),
        ("OUTBOX_RELAY", "yes"),
        ("AUTH_LISTEN", "3001"),
    ];
    let (code, stdout, stderr) = run(&["run", "auth-service"], &environment).await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    for line in [
        "EVENT_PUBLISHER_TYPE is `kafka`, should be sns, postgres or mock",
        "LOCALSTACK_ENDPOINT is `localhost:4566`, should be a URL such as http://127.0.0.1:4566, or unset for AWS",
        "OUTBOX_RELAY is `yes`, should be inline or standalone",
        "AUTH_LISTEN is `3001`, should be an address and a port such as 127.0.0.1:3001",
        "AUTH_DATABASE_URL",
    ] {
        assert!(stderr.contains(line), "{line:?} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test]
async fn a_bus_that_is_not_there_is_waited_for_with_a_progress_line_and_given_up_on() {
    let environment = [("LOCALSTACK_ENDPOINT", "http://127.0.0.1:9"), ("STARTUP_PATIENCE_SECONDS", "2")];
    let (code, _, stderr) = run(&["topology", "verify"], &environment).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("waiting for SNS and SQS at http://127.0.0.1:9"), "{stderr}");
    assert!(stderr.contains("error: SNS and SQS at http://127.0.0.1:9 did not answer within 2s"), "{stderr}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_waited_for_with_a_progress_line_and_given_up_on() {
    let url = "postgresql://ada:hunter2@127.0.0.1:9/auth_db";
    let keys = fixtures::auth_keys();
    let mut environment =
        vec![("AUTH_DATABASE_URL", url), ("STARTUP_PATIENCE_SECONDS", "2"), ("AUTH_LISTEN", "127.0.0.1:0")];
    environment.push(("AUTH_ADMIN_LISTEN", "127.0.0.1:0"));
    environment.extend(keys.iter().map(|(name, value)| (*name, value.as_str())));
    for arguments in [&["run", "auth-service"][..], &["migrate", "--database", "auth"]] {
        let (code, _, stderr) = run(arguments, &environment).await;
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("waiting for PostgreSQL auth_db at 127.0.0.1:9"), "{stderr}");
        assert!(stderr.contains("was not ready within 2 s"), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = required_variable("USER_DATABASE_URL");
    let environment = [("USER_DATABASE_URL", url.as_str()), ("WORKER_ADMIN_LISTEN", address.as_str())];
    let (code, _, stderr) = run(&["run", "user-worker"], &environment).await;
    assert_eq!(code, 1);
    assert!(stderr.contains(&address) && stderr.contains("WORKER_ADMIN_LISTEN"), "{stderr}");
}

#[tokio::test]
async fn usage_errors_exit_with_two() {
    for arguments in [
        &["dlq", "replay"][..],
        &["run"],
        &["migrate", "--database", "cellar"],
        &["frobnicate"],
        &["demo"],
        &["migrate", "new", "add_locale"],
        &["dlq", "groups", "--consumer", "nobody"],
    ] {
        let (code, stdout, stderr) = run(arguments, &[]).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_process_that_is_stopped_while_it_waits_exits_with_zero() {
    let url = "postgresql://ada:hunter2@127.0.0.1:9/auth_db";
    let mut child = waypost(&["run", "auth-service"], &[("AUTH_DATABASE_URL", url), ("AUTH_LISTEN", "127.0.0.1:0")])
        .env("AUTH_ADMIN_LISTEN", "127.0.0.1:0")
        .envs(fixtures::auth_keys())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().unwrap().contains("waiting for PostgreSQL") {}
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let bus = fixtures::bus().await;
    let endpoint = required_variable("LOCALSTACK_ENDPOINT");
    let environment = [("LOCALSTACK_ENDPOINT", endpoint.as_str()), ("WAYPOST_NAME_PREFIX", bus.prefix.as_str())];
    let mut child = waypost(&["topology", "verify"], &environment).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn services_that_have_started_finish_where_the_process_is_stopped_while_another_waits() {
    let (bus, auth) = tokio::join!(fixtures::embedded_bus(), fixtures::auth_database());
    let mut environment: Vec<_> = bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.extend([
        ("AUTH_DATABASE_URL", auth.url.as_str()),
        ("USER_DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1:9/user_db"),
        ("AUTH_LISTEN", "127.0.0.1:0"),
        ("WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("AUTH_ADMIN_LISTEN", "127.0.0.1:0"),
        ("AUTH_WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
        // Much is said in the end, so that it is put off.
        ("RUST_LOG", "trace"),
    ]);
    let mut child =
        waypost(&["run", "all"], &environment).envs(fixtures::auth_keys()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().unwrap().contains("waiting for PostgreSQL user_db") {}
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let mut rest = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        rest.push(line);
    }
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("finishing what is in hand")), "{rest:#?}");
    assert!(!rest.iter().any(|line| line.contains("stopping hard")), "{rest:#?}");
    // What was said last was written, too.
    let said = rest.iter().any(|line| line.contains("stopped: nothing is left in hand"));
    assert!(said, "{:#?}", rest.last());
}
