//! The pages that name tests, held to the tests that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const PAGES: [&str; 2] = ["docs/architecture.md", "docs/lessons.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_source(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Every source file of a crate, by its path below the root.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if is_source(&name) {
                let below = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(below, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// What stands between backticks in a page's tables, as (file, test): a name that begins with `::` is of the last file.
fn named(page: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let mut file = None;
        for quoted in line.split('`').skip(1).step_by(2) {
            let Some((before, test)) = quoted.rsplit_once("::") else { continue };
            if is_source(before) {
                file = Some(before.to_owned());
            }
            if let Some(file) = file.as_ref().filter(|_| before.is_empty() || is_source(before)) {
                named.push((file.clone(), test.to_owned()));
            }
        }
    }
    named
}

#[test]
fn every_test_that_a_page_names_exists() {
    let sources = sources();
    let mut missing = Vec::new();
    for page in PAGES {
        let named = named(&fs::read_to_string(root().join(page)).unwrap());
        assert!(named.len() > 30, "{page} names {} tests", named.len());
        for (file, test) in named {
            let is_there = sources.iter().any(|(path, text)| {
                path.ends_with(&format!("/{file}"))
                    && [format!("fn {test}("), format!("{test},")].iter().any(|form| text.contains(form.as_str()))
            });
            if !is_there {
                missing.push(format!("{page}: {file}::{test}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Where the links of a page lead, but for other sites and places in the page itself.
fn linked(page: &str) -> Vec<String> {
    // A link's text may go over the end of a line; its target doesn't.
    let targets = page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let targets = targets.filter_map(|target| target.split('#').next()).map(str::to_owned);
    targets
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(char::is_whitespace))
        .collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let mut pages: Vec<_> =
        ["README.md", "CHANGELOG.md", "bench/README.md", "migrations/README.md"].map(PathBuf::from).into();
    for folder in ["docs", "docs/decisions", "docs/tutorial"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().flatten().map(|entry| entry.file_name());
        pages.extend(
            entries.map(|name| Path::new(folder).join(name)).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    let (mut broken, mut followed) = (Vec::new(), 0);
    for page in pages {
        let folder = root().join(page.parent().unwrap());
        for target in linked(&fs::read_to_string(root().join(&page)).unwrap()) {
            followed += 1;
            if !folder.join(&target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 100, "{followed} links were found");
}

/// Each crate names its metrics in one file, as texts; what else is in quotes there has spaces or is no metric's name.
#[test]
fn every_metric_that_the_platform_names_is_on_its_page_and_none_else() {
    let is_metric = |text: &str| {
        let is_of_ours = ["account_requests_", "http_", "mails_", "messaging_", "outbox_", "redis_", "waypost_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        let has_a_unit = ["_seconds", "_total"].iter().any(|suffix| text.ends_with(suffix));
        (is_of_ours || has_a_unit) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    // Labels are called by the same conventions.
    let is_label = |text: &str| {
        ["messaging_system", "messaging_destination_name", "messaging_operation_name", "messaging_consumer_group_name"]
            .contains(&text)
    };
    let files = [
        "platform/messaging/src/measuring.rs",
        "platform/outbox/src/measure.rs",
        "platform/worker/src/measure.rs",
        "consumers/mailer/src/measure.rs",
        "consumers/user-service/src/measure.rs",
        "producers/auth-service/src/measure.rs",
        "platform/service/src/access_token/published.rs",
        "platform/service/src/access_token/refused.rs",
        "platform/service/src/cache.rs",
        "platform/service/src/http/request_metrics.rs",
        "platform/service/src/http/serve.rs",
        "platform/service/src/rate_limit/limiter.rs",
        "platform/service/src/redis/connection.rs",
    ];
    let named: BTreeSet<_> = files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(root().join(file)).unwrap();
            text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|text| is_metric(text) && !is_label(text))
        .collect();
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(named, rows.map(str::to_owned).collect());
    assert!(named.len() > 30, "{named:?}");
}

/// auth-service records each where it arises, and says in one place what each means.
#[test]
fn every_metric_of_auth_service_is_recorded_and_described() {
    let (mut recorded, mut described) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in sources() {
        if !path.starts_with("producers/auth-service/src/") {
            continue;
        }
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(kind) {
                let Some(name) = text[at + kind.len()..].trim_start().strip_prefix('"') else { continue };
                let set = if text[..at].ends_with("describe_") { &mut described } else { &mut recorded };
                set.insert(name.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    assert_eq!(recorded, described);
    assert!(recorded.len() >= 8, "{recorded:?}");
}
