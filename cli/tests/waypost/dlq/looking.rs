use fixtures::{TestBus, eventually, on_both_buses};
use messaging::{OutgoingMessage, ReceiveRequest};
use serde_json::{Value, json};
use std::time::Duration;

use super::{SECRET, event, stamped, stamped_with, undecodable};
use crate::running::Installation;

/// As a terminal has it: `script` gives the command one.
async fn on_a_terminal(installation: &Installation, environment: &[(&str, &str)]) -> String {
    let command = format!("'{}' dlq groups", env!("CARGO_BIN_EXE_waypost"));
    let output = tokio::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env_clear()
        .envs(installation.environment())
        .env("PATH", std::env::var("PATH").unwrap())
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn colours_are_for_terminals_only_and_never_with_no_color() {
    let installation = Installation::make(fixtures::embedded_bus().await).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message, &id)]).await;
    let dim = "\u{1b}[2mGROUP";
    let shown = on_a_terminal(&installation, &[]).await;
    assert!(shown.contains(dim), "{shown:?}");
    let plain = on_a_terminal(&installation, &[("NO_COLOR", "1")]).await;
    assert!(plain.contains("GROUP") && !plain.contains(dim), "{plain:?}");
    let (piped, _) = installation.told(&["groups"], 0).await;
    assert!(piped.contains("GROUP") && !piped.contains('\u{1b}'), "{piped:?}");
}

on_both_buses!(
    dead_letters_are_listed_with_their_reasons_and_left_as_they_were,
    one_fault_with_different_ids_is_one_group_and_two_faults_are_two,
    showing_a_dead_letter_redacts_what_its_schema_does_not_class_as_open,
    every_filter_narrows_every_look_in_the_same_way,
    a_filter_that_matches_nothing_says_so_and_ends_with_three,
    a_planted_secret_is_in_no_output_of_any_command,
    a_look_that_is_interrupted_gives_everything_back,
);

async fn dead_letters_are_listed_with_their_reasons_and_left_as_they_were(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, stamped_one), (second, silent)) = (event("ada@example.com"), event("bob@example.com"));
    // Two copies of one event are one dead letter.
    let copy = stamped(stamped_one.clone(), &first);
    installation.bury(&[copy.clone(), copy, silent, undecodable()]).await;

    for _ in 0..2 {
        let browsed = installation.dlq(&["browse"], 0).await;
        let letters = browsed["letters"].as_array().unwrap();
        assert_eq!(letters.len(), 3, "{browsed}");
        let find = |id: &str| letters.iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(find(&first)["copies"], 2);
        assert_eq!(find(&first)["failure"]["reason"], "rejected");
        assert_eq!(find(&second)["failure"]["reason"], "worker-died");
        assert_eq!(browsed["saw"]["complete"], true);
    }
    let listed = installation.dlq(&["list", "--consumer", "user-service"], 0).await;
    assert_eq!((&listed[0]["letters"], &listed[0]["kind"]), (&json!(3), &json!("dead-letters")));
    assert_eq!(listed[0]["reasons"][0], json!({ "reason": "worker-died", "letters": 2 }));
    let (stdout, stderr) = installation.told(&["list", "--consumer", "user-service"], 0).await;
    assert!(stdout.contains("2 worker-died"), "{stdout}");
    assert!(stderr.contains("3 dead letters"), "{stderr}");
    installation.told(&["list", "--exit-code", "--consumer", "user-service"], 1).await;
    let (stdout, stderr) = installation.told(&["browse"], 0).await;
    assert!(stdout.contains(&first) && stdout.contains("SQLSTATE"), "{stdout}");
    assert!(stderr.contains("3 dead letters; saw all of 4 messages"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 4);
}

async fn one_fault_with_different_ids_is_one_group_and_two_faults_are_two(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let mut messages = Vec::new();
    for at in 0..5 {
        let (id, message) = event("ada@example.com");
        messages.push(stamped_with(message, &id, "aaaa000000000000", &format!("user {at} has no cart")));
    }
    let (id, message) = event("bob@example.com");
    messages.push(stamped_with(message, &id, "bbbb000000000000", "another fault"));
    installation.bury(&messages).await;
    let groups = installation.dlq(&["groups"], 0).await;
    let counts: Vec<_> = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["fingerprint"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("aaaa000000000000".to_owned(), 5), ("bbbb000000000000".to_owned(), 1)]);
    assert_eq!(groups["groups"][1]["example"], id);
    let (stdout, _) = installation.told(&["groups", "--group", "bbbb"], 0).await;
    assert!(stdout.contains("another fault") && !stdout.contains("cart"), "{stdout}");
}

async fn showing_a_dead_letter_redacts_what_its_schema_does_not_class_as_open(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message, &id)]).await;

    let shown = installation.dlq(&["show", &id], 0).await;
    assert_eq!(shown["body"]["data"]["email"], "[redacted: pii]");
    assert_eq!(shown["body"]["data"]["source"], "auth-service");
    assert_eq!(shown["failure"]["handler"], "record_profile");
    assert_eq!(shown["today"], json!({ "verdict": "would-be-taken" }));
    assert_eq!(shown["applied"], Value::Null);
    assert!(!shown.to_string().contains("ada@"), "{shown}");

    // Revealing it goes on record, and so it takes a reason.
    let (code, _, stderr) = installation.run(&["dlq", "show", &id, "--reveal"]).await;
    assert_eq!(code, 2, "{stderr}");
    let (stdout, _) = {
        let (code, stdout, stderr) =
            installation.run(&["dlq", "show", &id, "--reveal", "--reason", "ticket 4711"]).await;
        assert_eq!(code, 0, "{stderr}");
        (stdout, stderr)
    };
    assert!(stdout.contains("ada@example.com"), "{stdout}");
    let earlier = installation.dlq(&["show", &id], 0).await["earlier"].clone();
    assert_eq!((&earlier[0]["verb"], &earlier[0]["reason"]), (&json!("reveal"), &json!("ticket 4711")));

    let (_, stderr) = installation.told(&["show", "no-such-id"], 3).await;
    assert!(stderr.contains("no dead letter `no-such-id` among 1"), "{stderr}");
}

async fn every_filter_narrows_every_look_in_the_same_way(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (ada, ada_message) = event("ada@example.com");
    let (bob, bob_message) = event("bob@example.com");
    let user: Value = serde_json::from_str(&bob_message.body).unwrap();
    let user = user["subject"].as_str().unwrap().to_owned();
    let third = undecodable();
    installation
        .bury(&[
            stamped_with(ada_message, &ada, "aaaa000000000000", "timed out in a lock"),
            stamped_with(bob_message, &bob, "bbbb000000000000", "another fault"),
            third,
        ])
        .await;
    let both: &[&str] = &[&ada, &bob];
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--type", "user.created"], both),
        (&["--type", "user.deleted", "--type", "user.created"], both),
        (&["--version", "1"], both),
        (&["--version", "2"], &[]),
        (&["--group", "aaaa"], &[&ada]),
        (&["--reason-contains", "TIMED OUT"], &[&ada]),
        (&["--id", &bob], &[&bob]),
        (&["--user", &user], &[&bob]),
        (&["--until", "2026-11-23T00:00:00Z"], both),
        (&["--since", "2026-11-23T00:00:00Z", "--type", "user.created"], &[]),
        (&["--attempts", "1"], both),
        (&["--attempts", ">1"], &[]),
    ];
    for (filter, expected) in cases {
        let code = if expected.is_empty() { 3 } else { 0 };
        let browsed = installation.dlq(&[&["browse"], filter].concat(), code).await;
        let mut ids: Vec<_> =
            browsed["letters"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        let mut sorted = expected.to_vec();
        sorted.sort_unstable();
        assert_eq!(ids, sorted, "{filter:?}");
        let groups = installation.dlq(&[&["groups"], filter].concat(), code).await;
        let grouped: u64 =
            groups["groups"].as_array().unwrap().iter().map(|group| group["count"].as_u64().unwrap()).sum();
        assert_eq!(grouped, expected.len() as u64, "{filter:?}");
        let plan = installation.dlq(&[&["replay"], filter].concat(), code).await;
        let mut planned: Vec<_> =
            plan["letters"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        planned.sort_unstable();
        assert_eq!(planned, sorted, "{filter:?}");
    }
    // The first that died is the first.
    let limited = installation.dlq(&["browse", "--limit", "1", "--type", "user.created"], 0).await;
    assert_eq!(limited["letters"].as_array().unwrap().len(), 1);
    let (_, stderr) = installation.told(&["browse", "--since", "yesterday"], 2).await;
    assert!(stderr.contains("--since is `yesterday`: it should be a time such as"), "{stderr}");
    let (_, stderr) = installation.told(&["browse", "--attempts", "many"], 2).await;
    assert!(stderr.contains("should be a number of attempts"), "{stderr}");
}

async fn a_filter_that_matches_nothing_says_so_and_ends_with_three(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (_, stderr) = installation.told(&["replay", "--all-matching"], 3).await;
    assert!(stderr.contains("there are no dead letters"), "{stderr}");
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message, &id)]).await;
    for verb in ["replay", "discard"] {
        let (stdout, stderr) = installation.told(&[verb, "--type", "user.deleted"], 3).await;
        assert_eq!(stdout, "");
        assert!(stderr.contains(r#"none of 1 dead letters matches {"types":["user.deleted"]}"#), "{stderr}");
    }
    installation.told(&["export", "--id", "nobody", "--reason", "a test"], 3).await;
    // Without any filter nobody knows what is meant.
    let (_, stderr) = installation.told(&["replay"], 2).await;
    assert!(stderr.contains("which letters?"), "{stderr}");
}

async fn a_planted_secret_is_in_no_output_of_any_command(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event(&format!("{SECRET}@example.com"));
    let (edited, broken) = event(&format!("{SECRET}.b@example.com"));
    let mut unknown: Value = serde_json::from_str(&event("eve@example.com").1.body).unwrap();
    unknown["data"][SECRET] = json!(SECRET);
    unknown["data"]["email"] = json!(format!("{SECRET} is no address"));
    let invalid = OutgoingMessage { body: unknown.to_string(), ..Default::default() };
    let invalid_id = unknown["id"].as_str().unwrap().to_owned();
    installation.bury(&[stamped(message, &id), broken, invalid, undecodable()]).await;
    // Both helpers look for the secret in all that is printed.
    let looks: [&[&str]; 8] = [
        &["list"],
        &["groups"],
        &["browse"],
        &["show", &id],
        &["show", &invalid_id],
        &["stats", "--consumer", "user-service"],
        &["replay", "--all-matching"],
        &["discard", "--all-matching"],
    ];
    for look in looks {
        installation.dlq(look, 0).await;
        installation.told(look, 0).await;
    }
    let patch = tempfile::NamedTempFile::new().unwrap();
    let change = json!([{ "op": "replace", "path": "/data/email", "value": format!("{SECRET}.c@example.com") }]);
    std::fs::write(patch.path(), change.to_string()).unwrap();
    let edit = ["edit", edited.as_str(), "--patch", patch.path().to_str().unwrap()];
    installation.dlq(&edit, 0).await;
    installation.dlq(&[&edit[..], &super::WHY].concat(), 0).await;
    installation.told(&[&["discard", "--id", &id][..], &super::WHY].concat(), 0).await;
    installation.dlq(&[&["replay", "--all-matching"][..], &super::WHY].concat(), 0).await;
    let history = installation.dlq(&["history"], 0).await;
    for operation in history.as_array().unwrap() {
        installation.told(&["history", operation["operation"].as_str().unwrap()], 0).await;
    }
    // And neither is it in what stays on record.
    for table in ["redrive_operations", "redrive_audit", "redrive_journal"] {
        let statement = sqlx::AssertSqlSafe(format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t"));
        let text: String = sqlx::query_scalar(statement).fetch_one(&installation.user.pool).await.unwrap();
        assert!(!text.contains(SECRET), "{table}: {text}");
    }
}

async fn a_look_that_is_interrupted_gives_everything_back(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(event("ada@example.com").1);
    }
    installation.bury(&messages).await;
    // An editor that never comes back: the letters are held all the while.
    let (id, message) = event("bob@example.com");
    installation.bury(&[message]).await;
    let child = crate::waypost(&["dlq", "edit", &id], &[("EDITOR", "tail -f")])
        .envs(installation.environment())
        .env("PATH", std::env::var("PATH").unwrap())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    eventually("everything is held", async || {
        let counts = installation.queue("user-service-dlq").await.counts().await.unwrap();
        (counts.in_flight == 21).then_some(())
    })
    .await;
    let group = format!("-{}", child.id().unwrap());
    let told = tokio::process::Command::new("kill").args(["-INT", "--", &group]).status().await.unwrap();
    assert!(told.success());
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait_with_output()).await.unwrap().unwrap().status;
    assert_eq!(status.code(), Some(130));
    let request = ReceiveRequest { max: 10, wait: Duration::ZERO, visibility: Duration::ZERO };
    let counts = installation.queue("user-service-dlq").await.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (21, 0));
    let received = installation.queue("user-service-dlq").await.receive(request).await.unwrap();
    assert!(!received.is_empty());
}
