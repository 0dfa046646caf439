//! Discarding and taking it back, changing a letter, taking letters out and putting them in.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

use fixtures::{TestBus, on_both_buses};
use messaging::{OutgoingMessage, ReceiveRequest};
use serde_json::{Value, json};

use super::{WHY, event, stamped, undecodable};
use crate::running::Installation;

on_both_buses!(
    what_is_discarded_is_in_the_archive_and_comes_back_as_it_was,
    an_edited_letter_is_replayed_as_changed_and_keeps_its_id_and_its_original,
    an_edit_that_a_worker_would_reject_is_refused,
    what_is_exported_can_be_imported_and_is_the_same,
);

#[tokio::test]
async fn sqs_moves_a_whole_queue_by_itself_where_nobody_filters() {
    let installation = Installation::make(fixtures::bus().await).await;
    let messages: Vec<_> = (0..12).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    let (_, stderr) = installation.told(&["replay", "--native"], 0).await;
    assert!(stderr.contains("SQS would move about 12 messages"), "{stderr}");
    for more in [&["--type", "user.created"][..], &["--limit", "3"], &["--ramp", "1,2"], &["--rate", "501"]] {
        installation.told(&[&["replay", "--native"], more].concat(), 2).await;
    }
    let moved = installation.dlq(&[&["replay", "--native"][..], &WHY].concat(), 0).await;
    assert_eq!(moved["state"], "completed");
    assert_eq!(installation.visible("user-service").await, 12);
    assert_eq!(installation.visible("user-service-dlq").await, 0);
    let history = installation.dlq(&["history"], 0).await;
    assert_eq!((&history[0]["verb"], &history[0]["state"]), (&json!("native"), &json!("ended")));
    installation.told(&["replay", "--native"], 3).await;
}

#[tokio::test]
async fn the_bus_in_postgresql_has_no_move_and_no_undelivered_messages_and_says_so() {
    let installation = Installation::make(fixtures::embedded_bus().await).await;
    installation.bury(&[event("ada@example.com").1]).await;
    let (_, stderr) = installation.told(&["groups", "--undelivered"], 2).await;
    assert!(stderr.contains("--undelivered"), "{stderr}");
    let (_, stderr) = installation.told(&[&["replay", "--native"][..], &WHY].concat(), 1).await;
    assert!(stderr.contains("SQS does"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 1);
}

#[tokio::test]
async fn what_sns_could_not_deliver_is_looked_at_and_replayed_like_any_dead_letter() {
    let installation = Installation::make(fixtures::bus().await).await;
    let (id, mut message) = event("ada@example.com");
    message.attributes.insert("ErrorCode".to_owned(), "AccessDenied".to_owned());
    let queue = installation.queue("user-service-undelivered").await;
    queue.send(&[message]).await.pop().unwrap().unwrap();
    let listed = installation.dlq(&["list", "--consumer", "user-service"], 0).await;
    let undelivered = listed.as_array().unwrap().iter().find(|row| row["kind"] == "undelivered").unwrap();
    assert_eq!(undelivered["letters"], 1);
    let shown = installation.dlq(&["show", &id, "--undelivered"], 0).await;
    assert_eq!(shown["failure"]["reason"], "undelivered");
    installation.dlq(&[&["replay", "--undelivered", "--id", &id][..], &WHY].concat(), 0).await;
    assert_eq!(installation.visible("user-service").await, 1);
    assert_eq!(installation.visible("user-service-undelivered").await, 0);
}

/// What is in the dead-letter queue, by body.
async fn buried(installation: &Installation) -> BTreeMap<String, BTreeMap<String, String>> {
    let queue = installation.queue("user-service-dlq").await;
    let second = std::time::Duration::from_secs(1);
    let request = ReceiveRequest { max: 10, wait: second, visibility: 30 * second };
    let mut held = Vec::new();
    loop {
        let received = queue.receive(request).await.unwrap();
        if received.is_empty() {
            break;
        }
        held.extend(received);
    }
    let back: Vec<_> = held.iter().map(|message| (message.receipt.clone(), std::time::Duration::ZERO)).collect();
    queue.change_visibility(&back).await;
    held.into_iter().map(|message| (message.body, message.attributes)).collect()
}

async fn what_is_discarded_is_in_the_archive_and_comes_back_as_it_was(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    let (other, second) = event("bob@example.com");
    installation.bury(&[stamped(message, &id), second, undecodable()]).await;
    let before = buried(&installation).await;
    let gone = installation.dlq(&[&["discard", "--all-matching"][..], &WHY].concat(), 0).await;
    assert_eq!(gone["counts"], json!({ "discarded": 3 }));
    assert_eq!(installation.visible("user-service-dlq").await, 0);
    assert_eq!(installation.visible("user-service").await, 0);

    let operation = gone["operation"].as_str().unwrap();
    let planned = installation.dlq(&["restore", operation], 0).await;
    assert_eq!((&planned["executed"], planned["letters"].as_array().unwrap().len()), (&json!(false), 3));
    assert_eq!(installation.visible("user-service-dlq").await, 0);
    installation.dlq(&[&["restore", operation, "--id", &other][..], &WHY].concat(), 0).await;
    assert_eq!(installation.visible("user-service-dlq").await, 1);
    installation.dlq(&[&["restore", operation][..], &WHY].concat(), 0).await;
    assert_eq!(buried(&installation).await, before);
    // Once is enough.
    let (_, stderr) = installation.told(&[&["restore", operation][..], &WHY].concat(), 3).await;
    assert!(stderr.contains("the archive has nothing"), "{stderr}");
}

/// An editor that does what `script` says with the file that it is given.
fn editor(folder: &Path, script: &str) -> String {
    let path = folder.join("editor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn edit(installation: &Installation, arguments: &[&str], script: &str) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let editor = editor(folder.path(), script);
    let mut environment = installation.environment();
    environment.extend([("EDITOR", editor), ("PATH", std::env::var("PATH").unwrap())]);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    crate::run(&[&["dlq", "edit"], arguments].concat(), &environment).await
}

async fn an_edited_letter_is_replayed_as_changed_and_keeps_its_id_and_its_original(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message.clone(), &id), event("bob@example.com").1]).await;
    let change = "sed -i s/ada@example.com/grace@example.com/ \"$1\"";
    let (code, stdout, stderr) = edit(&installation, &[&id], change).await;
    assert_eq!((code, stdout.as_str()), (0, "replace /data/email\n"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 2);

    let (code, stdout, stderr) = edit(&installation, &[&[id.as_str(), "--json"][..], &WHY].concat(), change).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome["counts"], json!({ "replayed": 1 }));
    assert_eq!(installation.visible("user-service-dlq").await, 1);
    let second = std::time::Duration::from_secs(1);
    let request = ReceiveRequest { max: 10, wait: second, visibility: second };
    let received = installation.queue("user-service").await.receive(request).await.unwrap().pop().unwrap();
    let sent: Value = serde_json::from_str(&received.body).unwrap();
    let mut expected: Value = serde_json::from_str(&message.body).unwrap();
    expected["data"]["email"] = json!("grace@example.com");
    assert_eq!(sent, expected);

    let (original, patch): (String, Value) =
        sqlx::query_as("SELECT original, patch FROM redrive_edits").fetch_one(&installation.user.pool).await.unwrap();
    assert_eq!(original, message.body);
    assert_eq!(patch, json!([{ "op": "replace", "path": "/data/email", "value": "grace@example.com" }]));
    let earlier = installation.dlq(&["history", "--letter", &id], 0).await;
    let outcomes: Vec<_> = earlier.as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["edited", "replayed"]);
}

async fn an_edit_that_a_worker_would_reject_is_refused(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[message]).await;
    for (script, words) in [
        ("echo nothing >\"$1\"", "what was written is no JSON"),
        ("sed -i s/ada@example.com/ada/ \"$1\"", "a worker would reject it as breaks-schema"),
        ("sed -i s/user.created/user.promoted/ \"$1\"", "a worker would reject it as unknown-event"),
        (r#"sed -i 's/"id": "0/"id": "1/' "$1""#, "`id` has to stay as it was"),
        ("exit 3", "ended with exit status: 3"),
    ] {
        let (code, stdout, stderr) = edit(&installation, &[&[id.as_str()][..], &WHY].concat(), script).await;
        assert_eq!((code, stdout.as_str()), (1, ""), "{script}: {stderr}");
        assert!(stderr.contains(words), "{script}: {stderr}");
    }
    let (code, _, stderr) = edit(&installation, &[&[id.as_str()][..], &WHY].concat(), "true").await;
    assert_eq!(code, 0);
    assert!(stderr.contains("nothing was changed"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 1);
    assert_eq!(installation.dlq(&["history"], 0).await, json!([]));
    let (_, stderr) = installation.told(&["edit", &id], 2).await;
    assert!(stderr.contains("neither VISUAL nor EDITOR is set"), "{stderr}");
}

async fn what_is_exported_can_be_imported_and_is_the_same(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    let copy = stamped(message, &id);
    let odd = OutgoingMessage { body: "\u{1F980} \"quoted\"\n\tand broken".to_owned(), ..Default::default() };
    installation.bury(&[copy.clone(), copy, odd]).await;
    let before = buried(&installation).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let file = path.to_str().unwrap();
    let export = ["export", "--all-matching", "--to", file, "--reason", "a test"];
    let (_, stderr) = installation.told(&export, 0).await;
    assert!(stderr.contains("2 letters in 3 messages"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 3);
    // It overwrites nothing.
    installation.told(&export, 1).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);

    installation.told(&[&["discard", "--all-matching"][..], &WHY].concat(), 0).await;
    installation.told(&["import", file], 0).await;
    assert_eq!(installation.visible("user-service-dlq").await, 0);
    let imported = installation.dlq(&[&["import", file][..], &WHY].concat(), 0).await;
    assert_eq!(imported, json!({ "executed": true, "messages": 3, "failed": [] }));
    assert_eq!(buried(&installation).await, before);
    std::fs::write(&path, "{\"no\": \"line\"}\n").unwrap();
    let (_, stderr) = installation.told(&[&["import", file][..], &WHY].concat(), 2).await;
    assert!(stderr.contains("line 1, is none of an export"), "{stderr}");
}
