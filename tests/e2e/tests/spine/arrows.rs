//! Which crate may know which: the manifests against a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Every crate of ours, with those of ours that it may depend on. Tests may use more; nothing that is shipped may
/// depend on a crate for tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("waypost-schemas", &[]),
    ("waypost-migrations", &[]),
    ("waypost-partitions", &[]),
    ("waypost-service", &[]),
    ("waypost-messaging", &["waypost-schemas"]),
    ("waypost-contracts", &["waypost-schemas", "waypost-messaging"]),
    ("waypost-outbox", &["waypost-schemas", "waypost-messaging", "waypost-partitions"]),
    ("waypost-worker", &["waypost-schemas", "waypost-messaging", "waypost-partitions"]),
    ("waypost-redrive", &["waypost-schemas", "waypost-messaging", "waypost-worker"]),
    ("waypost-sealing", &["waypost-schemas"]),
    ("auth-service", &["waypost-schemas", "waypost-outbox", "waypost-sealing", "waypost-service", "waypost-worker"]),
    ("product-service", &["waypost-schemas", "waypost-outbox", "waypost-service"]),
    ("mailer", &["waypost-schemas", "waypost-sealing", "waypost-worker", "waypost-service"]),
    ("user-service", &["waypost-schemas", "waypost-worker", "waypost-outbox", "waypost-redrive", "waypost-service"]),
    (
        "waypost",
        &[
            "waypost-schemas",
            "waypost-migrations",
            "waypost-partitions",
            "waypost-service",
            "waypost-contracts",
            "waypost-messaging",
            "waypost-outbox",
            "waypost-redrive",
            "waypost-sealing",
            "waypost-worker",
            "auth-service",
            "mailer",
            "product-service",
            "user-service",
        ],
    ),
    ("waypost-fixtures", &["waypost-schemas", "waypost-messaging", "waypost-migrations", "waypost-sealing"]),
    ("waypost-mutants", &["waypost-schemas"]),
    (
        "waypost-chaos",
        &["waypost-schemas", "waypost-messaging", "waypost-outbox", "waypost-mutants", "auth-service", "user-service"],
    ),
    (
        "waypost-bench",
        &[
            "waypost-schemas",
            "waypost-migrations",
            "waypost-partitions",
            "waypost-service",
            "waypost-messaging",
            "waypost-outbox",
            "waypost-worker",
            "waypost-chaos",
            "auth-service",
            "user-service",
        ],
    ),
    ("e2e", &["waypost-schemas", "waypost-messaging", "waypost-worker"]),
    ("tutorial", &["waypost-schemas", "waypost-outbox", "waypost-worker"]),
];

/// Dependencies that one crate keeps to itself, so that everybody else sees what it makes of them.
const KEPT: &[(&str, &str)] =
    &[("aws-sdk-", "waypost-messaging"), ("redis", "waypost-service"), ("backoff", "waypost-messaging")];

/// Names that say nothing, and so take in everything.
const DRAWERS: &[&str] = &["common", "core", "utils", "util", "helpers", "helper"];

/// The crates of the workspace, each with what it depends on when it is built for use.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    });
    packages.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A name that ends in a hyphen stands for all that begin so.
fn is_meant(name: &str, pattern: &str) -> bool {
    name == pattern || (pattern.ends_with('-') && name.starts_with(pattern))
}

#[test]
fn the_arrows_between_crates_are_the_ones_the_architecture_allows() {
    let (crates, allowed) = (crates(), ARROWS.iter().copied().collect::<BTreeMap<_, _>>());
    let known: Vec<_> = allowed.keys().copied().collect();
    let found: Vec<_> = crates.keys().map(String::as_str).collect();
    assert_eq!(found, known, "the workspace's crates, and those that this table knows");

    let mut wrong = Vec::new();
    for (name, dependencies) in &crates {
        for dependency in dependencies {
            let is_ours = crates.contains_key(dependency);
            let is_allowed = allowed[name.as_str()].contains(&dependency.as_str());
            let keeper = KEPT.iter().find(|(pattern, _)| is_meant(dependency, pattern)).map(|(_, keeper)| *keeper);
            if (is_ours && !is_allowed) || keeper.is_some_and(|keeper| keeper != name) {
                wrong.push(format!("{name} → {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that docs/architecture.md does not allow: {wrong:#?}");
}

#[test]
fn no_crate_is_a_drawer_for_whatever_has_no_place() {
    for name in crates().keys() {
        let drawer = name.split(['-', '_']).find(|word| DRAWERS.contains(word));
        assert_eq!(drawer, None, "{name} should be called after what it does");
    }
}
