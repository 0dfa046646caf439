//! Events on the command line: which there are, payloads of them, those that pass.

use std::process::Stdio;

use fixtures::{TestBus, on_both_buses};
use messaging::Prune;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Child,
};

use crate::{run, running::signal, waypost};

on_both_buses!(
    events_that_are_published_pass_by_a_tail_that_leaves_nothing_behind,
    a_tail_that_is_interrupted_leaves_nothing_behind,
    a_tail_ends_when_nothing_comes,
    nothing_is_published_unless_all_of_it_is_valid,
);

fn environment(bus: &TestBus) -> Vec<(&str, &str)> {
    bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

async fn with_topology(bus: &TestBus) {
    let (code, _, stderr) = run(&["topology", "apply"], &environment(bus)).await;
    assert_eq!(code, 0, "{stderr}");
}

async fn run_with_input(arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut child = waypost(arguments, environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let done = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

/// A tail whose queue is subscribed.
async fn tail(arguments: &[&str], bus: &TestBus) -> Child {
    let arguments = [&["events", "tail"], arguments].concat();
    let mut command = waypost(&arguments, &environment(bus));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("from now on") {
            return child;
        }
    }
    panic!("the tail ended before it looked");
}

async fn stdout_of(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

/// What the tail made is gone.
async fn assert_nothing_left(bus: &TestBus) {
    let (_, graph, _) = run(&["topology", "verify"], &environment(bus)).await;
    assert_eq!(graph, "", "the topology is as it was");
    let extras = bus.bus.extras(&messaging::Topology::default(), Prune::default()).await.unwrap();
    let tails: Vec<_> = extras.iter().filter(|extra| format!("{extra:?}").contains("tail-")).collect();
    assert!(tails.is_empty(), "{tails:?}");
}

async fn events_that_are_published_pass_by_a_tail_that_leaves_nothing_behind(bus: TestBus) {
    with_topology(&bus).await;
    let (_, samples, _) = run(&["events", "sample", "user.created", "--count", "3", "--seed", "5"], &[]).await;
    let mut plain = tail(&["--type", "user.created", "--count", "3"], &bus).await;
    let mut json = tail(&["--count", "3", "--json", "--reveal"], &bus).await;
    let publish = ["events", "publish", "--type", "user.created", "--data", "-"];
    let (code, ids, stderr) = run_with_input(&publish, &samples, &environment(&bus)).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(ids.lines().count(), 3);

    let (shown, whole) = (stdout_of(&mut plain).await, stdout_of(&mut json).await);
    assert!(plain.wait().await.unwrap().success() && json.wait().await.unwrap().success());
    let mut payloads: Vec<Value> = Vec::new();
    for line in whole.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(ids.contains(event["id"].as_str().unwrap()), "{line}");
        assert_eq!((&event["type"], &event["source"]), (&json!("user.created"), &json!("auth-service")));
        payloads.push(json!([event["data"]["userId"], event["data"]["email"]]));
    }
    for sample in samples.lines() {
        let sample: Value = serde_json::from_str(sample).unwrap();
        assert!(payloads.contains(&json!([sample["userId"], sample["email"]])), "{sample}");
        assert!(shown.contains(sample["userId"].as_str().unwrap()), "{shown}");
        assert!(!shown.contains(sample["email"].as_str().unwrap()), "{shown}");
    }
    assert_eq!(shown.matches("\"email\":\"[redacted: pii]\"").count(), 3, "{shown}");
    assert_nothing_left(&bus).await;
}

async fn a_tail_that_is_interrupted_leaves_nothing_behind(bus: TestBus) {
    with_topology(&bus).await;
    for name in ["INT", "TERM", "HUP"] {
        let mut child = tail(&["--follow"], &bus).await;
        signal(&child, name).await;
        assert!(child.wait().await.unwrap().success(), "SIG{name}");
        assert_nothing_left(&bus).await;
    }
}

async fn a_tail_ends_when_nothing_comes(bus: TestBus) {
    let (code, _, stderr) = run(&["events", "tail", "--idle", "1"], &environment(&bus)).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("product-created is not there; `waypost topology apply` makes it"), "{stderr}");
    with_topology(&bus).await;
    let (code, stdout, stderr) = run(&["events", "tail", "--idle", "1"], &environment(&bus)).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.ends_with("0 events\n"), "{stderr}");
    assert_nothing_left(&bus).await;
}

async fn nothing_is_published_unless_all_of_it_is_valid(bus: TestBus) {
    with_topology(&bus).await;
    let (_, sample, _) = run(&["events", "sample", "user.created"], &[]).await;
    let publish = ["events", "publish", "--type", "user.created", "--data", "-"];
    let input = format!("{sample}{{\"email\":\"not-an-address\"}}");
    let (code, stdout, stderr) = run_with_input(&publish, &input, &environment(&bus)).await;
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    for told in ["document 2, user.created v2: /email: breaks pattern", "`userId` is missing", "nothing was sent"] {
        assert!(stderr.contains(told), "{told} in {stderr}");
    }
    assert!(!stderr.contains("not-an-address"), "{stderr}");

    let dry_run = [&publish[..], &["--dry-run"]].concat();
    let (code, stdout, stderr) = run_with_input(&dry_run, &sample, &environment(&bus)).await;
    assert_eq!(code, 0, "{stderr}");
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&shown["type"], &shown["data"]["email"]), (&json!("user.created"), &json!("[redacted: pii]")));
    let queue = bus.bus.queue(&bus.bus.names().queue("user-service")).await.unwrap();
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
}

#[tokio::test]
async fn a_sample_is_valid_and_the_same_for_its_seed() {
    let sample = ["events", "sample", "user.email.verification.requested", "--count", "20", "--seed", "9"];
    let (code, samples, _) = run(&sample, &[]).await;
    assert_eq!((code, samples.lines().count()), (0, 20));
    assert_eq!(run(&sample, &[]).await.1, samples);
    let validate = ["events", "validate", "--type", "user.email.verification.requested", "-"];
    let (code, _, stderr) = run_with_input(&validate, &samples, &[]).await;
    assert_eq!((code, stderr.as_str()), (0, "20 of 20 valid\n"));
}

#[tokio::test]
async fn a_document_is_told_what_is_wrong_with_it() {
    let event = json!({"specversion": "1.0", "id": "7", "source": "s", "type": "user.deleted", "schemaversion": 1,
        "time": "2026-01-02T03:04:05Z", "data": {"userId": "alice@example.com"}});
    let (code, stdout, stderr) = run_with_input(&["events", "validate", "-", "--json"], &event.to_string(), &[]).await;
    assert_eq!((code, stderr.as_str()), (1, "0 of 1 valid\n"));
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome[0]["event"], "user.deleted v1");
    let pointers: Vec<_> = outcome[0]["problems"].as_array().unwrap().iter().map(|it| it["pointer"].clone()).collect();
    assert!(pointers.contains(&json!("/userId")) && pointers.contains(&json!("")), "{stdout}");
    assert!(!stdout.contains("alice"), "{stdout}");

    let (code, _, stderr) = run_with_input(&["events", "validate", "-"], "{}", &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("stdin holds no event; with --type, it is taken for a payload"), "{stderr}");
    let (code, _, stderr) = run_with_input(&["events", "validate", "-"], "", &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("stdin holds no document"), "{stderr}");
}

#[tokio::test]
async fn an_event_that_is_not_known_is_named() {
    for (name, told) in [
        ("user.exploded", "there is no event `user.exploded`"),
        ("user.created@9", "`user.created@9` is not a version of user.created; it has 1, 2"),
    ] {
        let (code, _, stderr) = run(&["events", "sample", name], &[]).await;
        assert_eq!(code, 2);
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[tokio::test]
async fn every_event_is_listed_with_who_sends_and_who_reads_it() {
    let (code, stdout, _) = run(&["events", "list", "--json"], &[]).await;
    assert_eq!(code, 0);
    let rows: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 17);
    let created = &rows[0];
    assert_eq!(created["event"], "user.created");
    assert_eq!((&created["versions"], &created["consumers"]), (&json!([1, 2]), &json!(["user-service"])));
    assert_eq!(created["sent"], true);
}

#[tokio::test]
async fn an_event_is_shown_field_by_field_with_its_readers() {
    let (code, stdout, stderr) = run(&["events", "show", "user.created"], &[]).await;
    assert_eq!(code, 0, "{stderr}");
    for told in [
        "user.created v2: A user registered an account.\n",
        "versions   1, 2\n",
        "read by    user-service (record_profile), as version 2: /displayName, /email, /emailVerified, /roles, /status, \
         /timestamp, /userId\n",
        "/displayName    optional  pii     string",
        "\"email\": \"[redacted: pii]\"",
    ] {
        assert!(stdout.contains(told), "{told} in {stdout}");
    }
    let (_, schema, _) = run(&["events", "show", "user.created@1", "--schema"], &[]).await;
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/golden/user.created/v1.json");
    assert_eq!(schema, std::fs::read_to_string(golden).unwrap());
    let (_, told, _) = run(&["events", "show", "user.email.verification.requested", "--json"], &[]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["example"]["tokenSealed"], "[redacted: secret]");
    assert_eq!((&told["sent"], &told["readers"][0]["handler"]), (&json!(true), &json!("send_verification_mail")));
    let (_, told, _) = run(&["events", "show", "product.created", "--json"], &[]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["sent"], &told["readers"][0]["handler"]), (&json!(true), &json!("record_product")));
}
