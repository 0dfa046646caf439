//! A released schema never changes: `catalog.lock` holds the hash of each, as `sha256sum` tells it of the golden file.
//!
//! `UPDATE_GOLDEN=1 cargo test -p waypost-schemas` writes the golden files of versions that aren't locked, and locks
//! them. It changes no line of the lock.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, sync::Once};

use schemas::{SchemaEntry, all_schemas};
use sha2::{Digest, Sha256};

const UPDATE: &str = "`UPDATE_GOLDEN=1 cargo test -p waypost-schemas`";
const UNRELEASED: &str =
    "a version that was not released yet may be removed from catalog.lock by hand, and locked anew by";

fn golden_file(entry: &SchemaEntry) -> PathBuf {
    crate::folder("golden").join(format!("{}/v{}.json", entry.event_type, entry.version))
}

fn text(entry: &SchemaEntry) -> String {
    serde_json::to_string_pretty(&entry.json_schema()).unwrap() + "\n"
}

fn hash(entry: &SchemaEntry) -> String {
    let digest = Sha256::digest(text(entry));
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Hashes by title (`user.created v2`).
fn lock() -> BTreeMap<String, String> {
    let text = fs::read_to_string(crate::folder("catalog.lock")).unwrap_or_default();
    let lines =
        text.lines().map(|line| line.rsplit_once(' ').unwrap_or_else(|| panic!("`{line}` is no line of a lock")));
    let mut lock = BTreeMap::new();
    for (title, hash) in lines {
        let twice = lock.insert(title.to_owned(), hash.to_owned());
        assert!(twice.is_none(), "catalog.lock has two lines for {title}");
    }
    lock
}

fn update_where_asked() {
    static ONCE: Once = Once::new();
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        return;
    }
    ONCE.call_once(|| {
        let mut lock = lock();
        for entry in all_schemas() {
            let now = hash(entry);
            if *lock.entry(entry.title()).or_insert_with(|| now.clone()) == now {
                let path = golden_file(entry);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text(entry)).unwrap();
            }
        }
        let lines: Vec<_> = lock.iter().map(|(title, hash)| format!("{title} {hash}")).collect();
        fs::write(crate::folder("catalog.lock"), lines.join("\n") + "\n").unwrap();
    });
}

#[test]
fn a_schema_is_what_its_golden_file_says() {
    update_where_asked();
    for entry in all_schemas() {
        let path = golden_file(entry);
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(golden, text(entry), "{} is not what the code says; {UNRELEASED} {UPDATE}", path.display());
    }
}

#[test]
fn every_golden_file_belongs_to_a_schema() {
    update_where_asked();
    let known: Vec<_> = all_schemas().iter().map(golden_file).collect();
    for folder in fs::read_dir(crate::folder("golden")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            assert!(known.contains(&file), "{} belongs to no schema", file.display());
        }
    }
}

#[test]
fn a_released_schema_does_not_change() {
    update_where_asked();
    let mut lock = lock();
    for entry in all_schemas() {
        let title = entry.title();
        let locked = lock.remove(&title).unwrap_or_else(|| panic!("catalog.lock lacks {title}; {UPDATE} adds it"));
        assert_eq!(locked, hash(entry), "{title} is released; make a new version; {UNRELEASED} {UPDATE}");
    }
    assert!(lock.is_empty(), "released, and gone from the catalog: {:?}", lock.keys());
}
