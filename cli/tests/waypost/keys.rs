use std::{fs, path::Path};

use sealing::{Context, OpeningKey, OpeningKeys, SealingKey, purpose};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::run;

struct Folders(TempDir);

impl Folders {
    fn make() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let [private, public] = ["private", "public"].map(|name| self.0.path().join(name));
        let [private, public] = [&private, &public].map(|path| path.to_str().unwrap());
        let environment = [("MAILER_KEYS_DIR", private), ("MAILER_PUBLIC_KEYS_DIR", public)];
        run(&[&["keys", "mailer"], arguments].concat(), &environment).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let (code, stdout, stderr) = self.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.path().join(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn text(path: &Value) -> String {
    fs::read_to_string(Path::new(path.as_str().unwrap())).unwrap()
}

#[tokio::test]
async fn what_is_sealed_with_a_new_public_key_opens_with_its_private_one() {
    let folders = Folders::make();
    let rotated = folders.json(&["rotate"]).await;
    let sealing = SealingKey::parse(&text(&rotated["publicKey"])).unwrap();
    assert_eq!(rotated["id"], sealing.id().to_string());
    let opening = OpeningKey::parse(&text(&rotated["privateKey"]).into()).unwrap();
    let context = Context { event_id: Uuid::nil(), user_id: Uuid::nil(), purpose: purpose::PASSWORD_RESET };
    let sealed = sealing.seal(&"token".into(), &context).unwrap();
    let opened = OpeningKeys::from_iter([opening]).open(&sealed, &context).unwrap();
    assert_eq!(opened.expose_secret(), "token");
}

#[tokio::test]
async fn a_rotation_adds_a_pair_and_leaves_the_one_before_it() {
    let folders = Folders::make();
    let first = folders.json(&["rotate"]).await;
    // A key is named by its second; as if it had been made earlier.
    for (folder, extension) in [("private", "key"), ("public", "pub")] {
        let folder = folders.0.path().join(folder);
        let made = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        fs::rename(made, folder.join(format!("20261101T000000Z.{extension}"))).unwrap();
    }
    let (code, stdout, stderr) = folders.run(&["rotate"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("seals from now on"), "{stdout}");
    let keys = folders.json(&["list"]).await;
    let states: Vec<_> = keys.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["opens", "seals"]);
    assert_eq!(keys[0]["id"], first["id"]);
    assert!(stdout.starts_with(keys[1]["id"].as_str().unwrap()), "{stdout}");
    assert_eq!((folders.files("private").len(), folders.files("public").len()), (2, 2));
}

#[tokio::test]
async fn keys_that_nothing_needs_any_more_are_removed_only_when_told() {
    let folders = Folders::make();
    let old = folders.json(&["rotate"]).await;
    for (folder, extension, path) in [("private", "key", &old["privateKey"]), ("public", "pub", &old["publicKey"])] {
        let folder = folders.0.path().join(folder);
        fs::rename(path.as_str().unwrap(), folder.join(format!("20200101T000000Z.{extension}"))).unwrap();
        // Another took its place long ago.
        let key = OpeningKey::generate();
        let text =
            if folder.ends_with("private") { key.text().expose_secret().to_owned() } else { key.sealing_key().text() };
        fs::write(folder.join(format!("20200201T000000Z.{extension}")), text).unwrap();
    }
    let (code, _, stderr) = folders.run(&["rotate"]).await;
    assert_eq!((code, folders.files("private").len()), (0, 3), "{stderr}");
    let (code, stdout, stderr) = folders.run(&["list"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("unneeded") && stderr.contains("1 key can go"), "{stdout}{stderr}");

    for (folder, extension) in [("private", "key"), ("public", "pub")] {
        let made = folders.0.path().join(folder).join(folders.files(folder).pop().unwrap());
        fs::rename(made, folders.0.path().join(folder).join(format!("20261101T000000Z.{extension}"))).unwrap();
    }
    let rotated = folders.json(&["rotate", "--remove-unneeded"]).await;
    assert_eq!(rotated["removed"][0]["id"], old["id"]);
    assert_eq!(rotated["removed"].as_array().unwrap().len(), 1);
    let left = folders.files("private");
    assert_eq!((left.len(), left[0].as_str()), (3, "20200201T000000Z.key"), "superseded a moment ago");
    assert!(!folders.files("public").contains(&"20200101T000000Z.pub".to_owned()));
}

#[tokio::test]
async fn keys_that_do_not_go_together_are_found() {
    let folders = Folders::make();
    let (code, stdout, stderr) = folders.run(&["list"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no key in") && stderr.contains("waypost keys mailer rotate"), "{stderr}");

    let rotated = folders.json(&["rotate"]).await;
    let public = rotated["publicKey"].as_str().unwrap();
    let foreign = OpeningKey::generate().sealing_key().text();
    fs::write(public, &foreign).unwrap();
    let (code, _, stderr) = folders.run(&["list"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains(public) && stderr.contains("can't be opened with any key here"), "{stderr}");

    fs::write(public, fs::read_to_string(rotated["privateKey"].as_str().unwrap()).unwrap()).unwrap();
    let (code, _, stderr) = folders.run(&["list"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("holds no public key of the mailer: a private key"), "{stderr}");
    let private = text(&rotated["privateKey"]);
    assert!(!stderr.contains(private.trim().rsplit_once(':').unwrap().1), "{stderr}");
}

/// Otherwise it would be taken for the one that seals.
#[tokio::test]
async fn a_private_key_does_not_stay_where_its_public_one_could_not_be_written() {
    let folders = Folders::make();
    fs::write(folders.0.path().join("public"), "a file").unwrap();
    let (code, stdout, stderr) = folders.run(&["rotate"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("public") && stderr.contains("could not be written"), "{stderr}");
    assert!(folders.files("private").is_empty());
}

#[tokio::test]
async fn folders_that_are_not_named_are_asked_for_together() {
    let (code, _, stderr) = run(&["keys", "mailer", "rotate"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAILER_KEYS_DIR is not set"), "{stderr}");
    assert!(stderr.contains("MAILER_PUBLIC_KEYS_DIR is not set"), "{stderr}");
    let (code, _, stderr) = run(&["keys", "mailer", "list"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAILER_KEYS_DIR is not set") && !stderr.contains("PUBLIC"), "{stderr}");
}

/// With the folder of auth-service's keys.
async fn auth_keys(folder: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let path = folder.path().to_str().unwrap();
    run(&[&["keys", "auth"], arguments].concat(), &[("AUTH_KEYS_DIR", path)]).await
}

#[tokio::test]
async fn a_signing_key_that_is_added_waits_until_everybody_can_have_it_and_the_first_signs_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = auth_keys(&folder, &["list"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("`waypost keys auth rotate` makes one"), "{stderr}");

    let json = async |arguments: &[&str]| -> Value {
        let (code, stdout, stderr) = auth_keys(&folder, &[arguments, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let first = json(&["rotate"]).await;
    assert_eq!(first["state"], "active");
    // Keys are named by their second; as if this one had been made a month ago, and another a day after it.
    let signing = folder.path().join("signing");
    let file = first["file"].as_str().unwrap();
    for name in ["20251026T061500Z.pem", "20251027T061500Z.pem"] {
        fs::copy(file, signing.join(name)).unwrap();
    }
    fs::remove_file(file).unwrap();
    let second = json(&["rotate", "--remove-unneeded"]).await;
    assert_eq!(fs::read_dir(folder.path().join("pseudonyms")).unwrap().count(), 1, "made once");
    assert_eq!((&second["state"], second["removed"].as_array().unwrap().len()), (&Value::from("next"), 1));
    let states: Vec<_> = json(&["list"]).await.as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["active", "next"]);
    let (_, stdout, _) = auth_keys(&folder, &["list"]).await;
    assert!(stdout.contains("2025-10-27T06:15:00Z") && !stdout.contains("2025-10-26T06:15:00Z"), "{stdout}");
    for file in fs::read_dir(&signing).unwrap() {
        let pem = fs::read_to_string(file.unwrap().path()).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!stdout.contains(secret) && !second.to_string().contains(secret));
    }
}
