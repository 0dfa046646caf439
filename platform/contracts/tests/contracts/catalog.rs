//! The files of the catalog.

use std::collections::BTreeSet;

use contracts::{CatalogSource, Files, Landscape, Problem, Reader, Sender, catalog_files, compare_files};
use messaging::{Names, QueueSettings, Subscriber};
use schemas::{EventType, SchemaEntry, all_schemas};
use serde_json::Value;

pub const CREATED: EventType = EventType::new("user.created");
pub const DELETED: EventType = EventType::new("user.deleted");

/// Two services, of which one reads what the other sends.
pub fn landscape() -> Landscape {
    let reader = |consumer: &str, handler: &str, event_type, version, fields: &[&str]| Reader {
        consumer: consumer.to_owned(),
        handler: handler.to_owned(),
        event_type,
        version,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let subscriber = |consumer: &str, events: &[EventType]| Subscriber {
        consumer: consumer.to_owned(),
        events: events.iter().copied().collect(),
        settings: QueueSettings::DEFAULT,
    };
    Landscape {
        senders: vec![Sender { service: "auth-service", events: [CREATED, DELETED].into() }],
        readers: vec![
            reader("user-service", "record_profile", CREATED, 2, &["/userId", "/email"]),
            reader("mailer", "welcome", CREATED, 2, &["/email", "/displayName"]),
        ],
        subscribers: vec![subscriber("user-service", &[CREATED]), subscriber("mailer", &[CREATED])],
    }
}

pub fn built(landscape: &Landscape) -> Result<Files, Vec<Problem>> {
    let abouts = [("mailer", "Writes mails, such as for `user.created`.\n")];
    catalog_files(&CatalogSource { landscape, names: &Names::default(), abouts: &abouts })
}

fn front_matter(files: &Files, path: &str) -> Value {
    let text = files.get(path).unwrap_or_else(|| panic!("{path} is missing"));
    let (block, _) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    serde_saphyr::from_str(block).unwrap()
}

#[test]
fn the_order_of_registration_says_nothing() {
    let mut turned = landscape();
    turned.readers.reverse();
    turned.subscribers.reverse();
    assert_eq!(compare_files(&built(&landscape()).unwrap(), &built(&turned).unwrap()), []);
}

#[test]
fn a_prefix_is_in_the_names_of_topics_and_queues_and_nowhere_else() {
    let source = CatalogSource { landscape: &landscape(), names: &Names::with_prefix("blue-"), abouts: &[] };
    let files = catalog_files(&source).unwrap();
    let channel = front_matter(&files, "channels/topic.blue-user-created/index.mdx");
    assert_eq!(channel["address"], "blue-user-created");
    assert!(files.contains_key("events/user.created/index.mdx") && files.contains_key("services/mailer/index.mdx"));
}

#[test]
fn every_version_has_its_page_schema_changelog_and_examples() {
    let files = built(&landscape()).unwrap();
    for entry in all_schemas() {
        let newest = SchemaEntry::newest(entry.event_type.as_str()).unwrap().version;
        let folder = match entry.version == newest {
            true => format!("events/{}", entry.event_type),
            false => format!("events/{}/versioned/{}.0.0", entry.event_type, entry.version),
        };
        let head = front_matter(&files, &format!("{folder}/index.mdx"));
        assert_eq!(head["id"], entry.event_type.as_str());
        assert_eq!(head["version"], format!("{}.0.0", entry.version));
        assert!(files.contains_key(&format!("{folder}/changelog.mdx")));
        assert!(files.keys().any(|path| path.starts_with(&format!("{folder}/examples/"))), "{folder}");
        let golden = format!("../../schemas/golden/{}/v{}.json", entry.event_type, entry.version);
        let golden = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)).unwrap();
        assert_eq!(files[&format!("{folder}/schema.json")], golden, "the catalog shows what is released");
    }
}

/// What EventCatalog's linter looks at, for where there is no Node to run it.
#[test]
fn whatever_front_matter_refers_to_has_a_page() {
    let files = built(&landscape()).unwrap();
    let pages: Vec<_> = files.keys().filter(|path| path.ends_with("/index.mdx")).collect();
    let of_kind = |kind: &str| -> BTreeSet<(String, String)> {
        let of_kind = pages.iter().filter(|path| path.starts_with(kind));
        let heads = of_kind.map(|path| front_matter(&files, path));
        heads
            .map(|head| (head["id"].as_str().unwrap().to_owned(), head["version"].as_str().unwrap().to_owned()))
            .collect()
    };
    let (events, services, channels) = (of_kind("events/"), of_kind("services/"), of_kind("channels/"));
    let mut seen = 0;
    let mut refers = |head: &Value, key: &str, known: &BTreeSet<(String, String)>| {
        for reference in head[key].as_array().into_iter().flatten() {
            let text = |key: &str| reference[key].as_str().unwrap().to_owned();
            assert!(known.contains(&(text("id"), text("version"))), "{reference} in {head}");
            seen += 1;
        }
    };
    for path in &pages {
        let head = front_matter(&files, path);
        assert_eq!(head["owners"], serde_json::json!(["maintainers"]), "{path}");
        assert!(head["summary"].as_str().unwrap().ends_with('.'), "{path}");
        refers(&head, "services", &services);
        refers(&head, "routes", &channels);
        for key in ["sends", "receives"] {
            refers(&head, key, &events);
            for message in head[key].as_array().into_iter().flatten() {
                refers(message, "to", &channels);
                refers(message, "from", &channels);
            }
        }
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn a_service_page_says_what_is_sent_read_and_not_sent_yet() {
    let files = built(&landscape()).unwrap();
    let mailer = front_matter(&files, "services/mailer/index.mdx");
    let from = serde_json::json!([{"id": "queue.mailer", "version": "1.0.0", "delivery_mode": "pull"}]);
    let fields = serde_json::json!(["email", "displayName"]);
    let receives = serde_json::json!([{"id": "user.created", "version": "2.0.0", "fields": fields, "from": from}]);
    assert_eq!(mailer["receives"], receives);
    assert!(mailer.get("draft").is_none());
    assert!(front_matter(&files, "services/product-service/index.mdx")["draft"]["message"].is_string());
    assert!(front_matter(&files, "events/user.reactivated/index.mdx")["draft"]["message"].is_string());
    assert!(front_matter(&files, "events/user.deleted/index.mdx").get("draft").is_none());
    assert!(front_matter(&files, "events/user.created/versioned/1.0.0/index.mdx")["deprecated"].is_object());
}

#[test]
fn an_event_page_says_who_reads_which_field_and_where_it_ends_when_it_dies() {
    let page = &built(&landscape()).unwrap()["events/user.created/index.mdx"];
    let row = |field: &str| page.lines().find(|line| line.starts_with(&format!("| `/{field}` |"))).unwrap();
    assert!(row("email").ends_with("| yes | **pii** | mailer, user-service |"), "{}", row("email"));
    assert!(row("displayName").ends_with("| no | **pii** | mailer |"), "{}", row("displayName"));
    assert!(row("status").ends_with("| yes | open |  |"), "{}", row("status"));
    for part in ["```mermaid\n", "user-service-dlq", "waypost dlq replay --consumer mailer", "raised to 2.0.0"] {
        assert!(page.contains(part), "{part} is missing");
    }
}

#[test]
fn prose_is_merged_in_and_an_event_that_it_names_becomes_a_link() {
    let files = built(&landscape()).unwrap();
    let about = "Writes mails, such as for [`user.created`](../../events/user.created/index.mdx).";
    assert!(files["services/mailer/index.mdx"].contains(about));
    let entry = SchemaEntry::newest("user.deleted").unwrap();
    let first = entry.prose().unwrap().lines().next().unwrap();
    assert!(files["events/user.deleted/index.mdx"].contains(first));
    assert!(files["events/user.created/changelog.mdx"].contains("- `/roles` is new, required\n"));
    assert!(files["events/user.created/changelog.mdx"].contains("A reader no longer has to assume them."));
}

#[test]
fn no_secret_and_nobody_real_is_in_any_file() {
    let files = built(&landscape()).unwrap();
    let mut secrets = BTreeSet::new();
    for example in all_schemas().iter().flat_map(SchemaEntry::examples) {
        let data: Value = serde_json::from_str(example.text).unwrap();
        secrets.extend(data["tokenSealed"].as_str().filter(|secret| !secret.is_empty()).map(str::to_owned));
    }
    assert!(!secrets.is_empty());
    for (path, text) in &files {
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{path} shows a secret");
        let addresses =
            text.split(['"', ' ', '`']).filter(|word| word.contains('@') && !word.contains(['^', '\\', ']']));
        for address in addresses {
            assert!(address.ends_with("@example.com"), "{path} shows {address}");
        }
    }
}

#[test]
fn one_reader_more_changes_its_pages_and_no_others() {
    let mut more = landscape();
    more.readers.push(Reader { handler: "count".to_owned(), fields: Vec::new(), ..more.readers[0].clone() });
    let differences = compare_files(&built(&more).unwrap(), &built(&landscape()).unwrap());
    let paths: Vec<_> = differences.iter().map(|difference| difference.path.as_str()).collect();
    assert_eq!(paths, ["asyncapi.json", "events/user.created/index.mdx", "services/user-service/index.mdx"]);
}
