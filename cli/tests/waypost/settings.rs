use std::path::Path;

use serde_json::Value;

use crate::run;

fn names(json: &str) -> Vec<String> {
    let variables: Vec<Value> = serde_json::from_str(json).unwrap();
    variables.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_variable_that_any_service_reads_is_in_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows: String = readme.lines().filter(|line| line.starts_with("| `")).collect();
    // Where a database is not named by its own variable, the other one is asked for as well.
    let environment = [("OUTBOX_RELAY", "standalone"), ("MAILER_DATABASE_URL", "postgresql://h/d")];
    let (code, stdout, stderr) = run(&["settings", "--json", "all"], &environment).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("AUTH_DATABASE_URL is not set"), "{stderr}");
    let names = names(&stdout);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(rows.contains(&format!("`{name}`")), "{name} is not in the README's table of settings");
    }
}

#[tokio::test]
async fn settings_are_told_by_name_and_never_by_value() {
    let environment = [("USER_DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1:9/user_db"), ("WORKER_BATCH", "77")];
    let (code, stdout, stderr) = run(&["settings", "user-worker"], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    let of = |name: &str| stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(of("USER_DATABASE_URL").ends_with("  set"), "{stdout}");
    assert!(of("WORKER_BATCH").ends_with("  set"), "{stdout}");
    assert!(of("WORKER_LEASE_SECONDS").ends_with("  not set"), "{stdout}");
    for hidden in ["hunter2", "77"] {
        assert!(!stdout.contains(hidden) && !stderr.contains(hidden), "{stdout}{stderr}");
    }
    assert!(of("AUTH_LISTEN").is_empty(), "the worker doesn't read it: {stdout}");
}
