//! The JSON that commands print, held to files: whoever reads it with a program relies on it.
//!
//! `UPDATE_GOLDEN=1` writes the files anew.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::{WHY, event, stamped, undecodable};
use crate::running::Installation;

/// Ids and times become names, in the order in which they are met.
struct Steady(BTreeMap<String, String>);

impl Steady {
    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect())
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let is_time = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
        let is_id = uuid::Uuid::parse_str(text).is_ok();
        let is_key = text.strip_prefix("message:").is_some();
        if is_time {
            return "<time>".to_owned();
        }
        let is_sequence = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
        if is_sequence {
            return "<sequence>".to_owned();
        }
        if is_id || is_key || text.ends_with("-dlq") || text.ends_with("-user-service") {
            let next = format!("<{}>", self.0.len());
            return self.0.entry(text.to_owned()).or_insert(next).clone();
        }
        text.to_owned()
    }
}

#[tokio::test]
async fn the_json_of_every_command_is_what_the_golden_files_say() {
    let installation = Installation::make(fixtures::embedded_bus().await).await;
    // A filter has its ids in order, and ids of one millisecond are in none.
    let mut events = [event("ada@example.com"), event("bob@example.com")];
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(id, message), (applied, done)] = events;
    installation.bury(&[stamped(message, &id), done.clone(), undecodable()]).await;
    installation.mark_applied(&done).await;
    let mut steady = Steady(BTreeMap::new());
    let mut printed = BTreeMap::new();
    let looks: [(&str, &[&str]); 7] = [
        ("list", &["list", "--consumer", "user-service"]),
        ("groups", &["groups", "--id", &id]),
        ("browse", &["browse", "--id", &id]),
        ("show", &["show", &id]),
        ("stats", &["stats", "--consumer", "user-service"]),
        ("plan", &["replay", "--id", &id, "--id", &applied]),
        ("nothing", &["browse", "--id", "nobody"]),
    ];
    for (name, arguments) in looks {
        let json = installation.dlq(arguments, if name == "nothing" { 3 } else { 0 }).await;
        printed.insert(name, json);
    }
    let outcome = installation.dlq(&[&["replay", "--id", &id, "--id", &applied][..], &WHY].concat(), 0).await;
    let gone = installation.dlq(&[&["discard", "--id", &applied][..], &WHY].concat(), 0).await;
    let operation = gone["operation"].as_str().unwrap().to_owned();
    printed.insert("restore", installation.dlq(&["restore", &operation], 0).await);
    printed.insert("history", installation.dlq(&["history"], 0).await);
    printed.insert("operation", installation.dlq(&["history", &operation], 0).await);
    printed.insert("letter", installation.dlq(&["history", "--letter", &applied], 0).await);
    printed.insert("outcome", outcome);

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dlq");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stale = Vec::new();
    for (name, value) in printed {
        let mut value = steady.value(&value);
        // Who runs the test is nobody's promise.
        replace(&mut value, "actor", &json!("<actor>"));
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        let path = folder.join(format!("{name}.json"));
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(format!("{}:\n{text}", path.display()));
        }
    }
    assert!(stale.is_empty(), "UPDATE_GOLDEN=1 writes these anew:\n{}", stale.join("\n"));
}

fn replace(value: &mut Value, field: &str, by: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == field {
                    *value = by.clone();
                } else {
                    replace(value, field, by);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, field, by)),
        _ => {}
    }
}
