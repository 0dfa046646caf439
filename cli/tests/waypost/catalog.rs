//! `waypost catalog`, and the catalog that is committed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{run, waypost};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-catalog")
}

/// A folder of the test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(fixtures::unique("catalog")))
    }

    async fn catalog(&self, arguments: &[&str]) -> (i32, String, String) {
        let dir = self.0.to_str().unwrap();
        run(&[&["catalog"], arguments, &["--dir", dir]].concat(), &[]).await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn the_committed_catalog_is_what_the_code_says() {
    let (code, stdout, stderr) = run(&["catalog", "check", "--dir", committed().to_str().unwrap()], &[]).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "run `waypost catalog build`: {stderr}");
}

#[tokio::test]
async fn the_catalog_is_found_from_any_folder_within_the_sources() {
    for folder in ["..", "src/catalog"] {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let output = waypost(&["catalog", "check"], &[]).current_dir(here).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = waypost(&["catalog", "check"], &[]).current_dir(std::env::temp_dir()).output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("there is no folder `event-catalog` in ") && stderr.contains("--dir"), "{stderr}");
}

#[tokio::test]
async fn whatever_differs_is_named_by_check_and_mended_by_build() {
    let scratch = Scratch::new();
    let (code, stdout, stderr) = scratch.catalog(&["build"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("written README.md\n"), "{stdout}");
    let (code, stdout, stderr) = scratch.catalog(&["build"]).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");

    let schema = scratch.0.join("events/user.created/schema.json");
    let text = fs::read_to_string(&schema).unwrap();
    fs::write(&schema, text.replace("\"maxLength\": 254", "\"maxLength\": 300")).unwrap();
    fs::remove_file(scratch.0.join("events/user.deleted/changelog.mdx")).unwrap();
    fs::create_dir_all(scratch.0.join("events/user.exploded")).unwrap();
    fs::write(scratch.0.join("events/user.exploded/index.mdx"), "# By hand\n").unwrap();

    let (code, stdout, stderr) = scratch.catalog(&["check"]).await;
    assert_eq!(code, 1);
    let lines: Vec<_> = stdout.lines().map(str::trim).collect();
    let [stale, found, expected, missing, extra] = lines[..] else { panic!("{stdout}") };
    assert!(stale.starts_with("stale   events/user.created/schema.json, a line from line "), "{stale}");
    assert_eq!((found, expected), ("-       \"maxLength\": 300,", "+       \"maxLength\": 254,"));
    assert_eq!(missing, "missing events/user.deleted/changelog.mdx");
    assert_eq!(extra, "extra   events/user.exploded/index.mdx");
    assert!(stderr.contains("run `waypost catalog build`"), "{stderr}");

    let (code, stdout, _) = scratch.catalog(&["check", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let kinds: Vec<_> = report["files"].as_array().unwrap().iter().map(|file| file["kind"].as_str().unwrap()).collect();
    assert_eq!((code, kinds), (1, vec!["stale", "missing", "extra"]));

    let (code, stdout, _) = scratch.catalog(&["build", "--dry-run"]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("would be removed events/user.exploded/index.mdx"), "{stdout}");
    assert_eq!(scratch.catalog(&["check"]).await.0, 1, "a dry run changes nothing");

    let (code, stdout, _) = scratch.catalog(&["build"]).await;
    assert_eq!((code, stdout.lines().count()), (0, 3), "{stdout}");
    assert_eq!(scratch.catalog(&["check"]).await.0, 0);
    assert!(!scratch.0.join("events/user.exploded").exists(), "an empty folder goes with its file");
}

#[tokio::test]
async fn a_folder_that_is_no_catalog_is_not_written_to() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).unwrap();
    fs::write(scratch.0.join("README.md"), "# Somebody's work\n").unwrap();
    let (code, _, stderr) = scratch.catalog(&["build"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("is no catalog, and what is in it would be removed"), "{stderr}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    let (code, _, stderr) = run(&["catalog", "check", "--dir", "/nowhere/at/all"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("/nowhere/at/all is no folder"), "{stderr}");
}

/// The binary embeds it, so without it the image can't be built; and images aren't built where tests run.
#[test]
fn what_a_service_says_of_itself_reaches_the_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rules = fs::read_to_string(root.join(".dockerignore")).unwrap();
    let (_, after_pages) = rules.split_once("**/*.md\n").unwrap();
    let mut seen = 0;
    for kind in ["producers", "consumers"] {
        for service in fs::read_dir(root.join(kind)).unwrap() {
            let about = format!("{kind}/{}/about.md", service.unwrap().file_name().to_str().unwrap());
            assert!(root.join(&about).is_file(), "{about} is missing");
            assert!(after_pages.lines().any(|line| line == format!("!{about}")), ".dockerignore keeps {about} out");
            seen += 1;
        }
    }
    assert!(seen >= 2);
}
