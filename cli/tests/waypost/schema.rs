//! What the command line says of schemas and their changes.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::run;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/golden");

/// Golden schemas as they are, but for version 2 of `user.created`.
fn released(folder: &Path, change: impl FnOnce(&mut Value)) {
    for event in fs::read_dir(GOLDEN).unwrap().map(Result::unwrap) {
        let to = folder.join(event.file_name());
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(event.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    let file = folder.join("user.created/v2.json");
    let mut schema = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut schema);
    fs::write(file, schema.to_string()).unwrap();
}

/// Another release had an e-mail address of at most 100 characters.
fn narrow(schema: &mut Value) {
    schema["properties"]["email"]["maxLength"] = 100.into();
}

#[tokio::test]
async fn the_check_says_what_it_compared_and_that_nothing_would_break() {
    let (code, stdout, stderr) = run(&["schema", "check"], &[]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("user.created: v1 is raised to v2, which closes 7 gaps; tried on "), "{stdout}");
    let compared = "compared 17 events in 18 versions with each other: 18 unchanged, 0 new, 1 pair of different schemas judged FULL";
    assert!(stderr.contains(compared), "{stderr}");
    assert!(stderr.contains("nothing would break"), "{stderr}");
}

#[tokio::test]
async fn a_change_is_told_with_its_field_its_rule_its_readers_and_a_document() {
    let folder = tempfile::tempdir().unwrap();
    released(folder.path(), narrow);
    let against = folder.path().to_str().unwrap();
    let (code, stdout, stderr) = run(&["schema", "check", "--against", against], &[]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    for told in [
        "user.created v2 was released and allows something else now: make a new version\n",
        "FORWARD user.created: v2 as it is sent now, as it was read: /email (maxLength)\n",
        "changing /email breaks user-service: record_profile reads it\n",
        "for example {\"email\":\"",
    ] {
        assert!(stdout.contains(told), "{told} in {stdout}");
    }
    assert!(stderr.contains("17 unchanged, 0 new, 2 pairs of different schemas judged FULL\n2 findings"), "{stderr}");

    let (code, stdout, _) = run(&["schema", "check", "--against", against, "--mode", "backward", "--json"], &[]).await;
    assert_eq!(code, 1, "an edit is one in every mode");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["report"]["findings"], json!([{"kind": "edited", "event": "user.created", "version": 2}]));
}

#[tokio::test]
async fn a_removed_field_breaks_those_who_read_it_by_name() {
    let folder = tempfile::tempdir().unwrap();
    // What was released had a field that there isn't any more.
    released(folder.path(), |schema| {
        schema["properties"]["nickname"] = json!({"type": "string"});
        schema["required"].as_array_mut().unwrap().push("nickname".into());
    });
    let against = folder.path().to_str().unwrap();
    let (code, stdout, _) = run(&["schema", "check", "--against", against], &[]).await;
    assert_eq!(code, 1);
    let told = "removing /nickname breaks user-service: record_profile doesn't read it, and gets no event that breaks its schema";
    assert!(stdout.contains(told), "{stdout}");
}

#[tokio::test]
async fn what_was_released_may_be_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    released(&folder.path().join("schemas/golden"), narrow);
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let done = Command::new("git").current_dir(&folder).args(identity).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet", "--initial-branch=trunk"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=released"]);
    let path = std::env::var("PATH").unwrap();
    let check = async |against: &str| {
        let mut command = crate::waypost(&["schema", "check", "--against", against], &[("PATH", &path)]);
        let done = command.current_dir(&folder).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    };
    let (code, stdout, stderr) = check("trunk").await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("/email (maxLength)"), "{stdout}");
    let (code, _, stderr) = check("elsewhere").await;
    assert_eq!(code, 2);
    assert!(stderr.contains("--against is `elsewhere`, should be a folder"), "{stderr}");
}

/// A gate that looked at nothing would let everything pass.
#[tokio::test]
async fn a_check_that_compares_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let against = folder.path().to_str().unwrap();
    let (code, _, stderr) = run(&["schema", "check", "--against", against], &[]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("nothing to compare with"), "{stderr}");
}

#[tokio::test]
async fn two_versions_are_told_apart_field_by_field() {
    let (code, stdout, stderr) = run(&["schema", "diff", "user.created@1", "user.created@2"], &[]).await;
    assert_eq!(code, 0, "{stderr}");
    for told in [
        "/displayName is new, optional\n",
        "/emailVerified is new, required\n",
        "BACKWARD: user.created@1 as sent, user.created@2 as read: /roles (required)\n",
        "FORWARD: readers of user.created@1 take everything that writers of user.created@2 send\n",
    ] {
        assert!(stdout.contains(told), "{told} in {stdout}");
    }
    let (code, stdout, _) = run(&["schema", "diff", "user.created@1", "user.created@2", "--json"], &[]).await;
    assert_eq!(code, 0);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["forward"], json!([]));
    assert!(told["backward"].as_array().unwrap().iter().all(|gap| gap["witness"].is_object()), "{stdout}");

    let (code, _, stderr) = run(&["schema", "diff", "user.created@1", "user.created@9"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no `user.created@9`"), "{stderr}");
}
