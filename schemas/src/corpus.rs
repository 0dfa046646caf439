//! What people wrote beside the types, embedded: `examples/<type>/v<version>/{valid,invalid}/<name>.json`, and
//! `prose/<type>/{about,v<version>}.md`, and `prose/<family>/about.md` for what all events about one thing share.

use crate::{EventType, SchemaEntry};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// A payload, written by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    pub valid: bool,
    /// For an invalid one, the field and what is wrong with it.
    pub name: &'static str,
    /// JSON, as it stands in its file.
    pub text: &'static str,
}

impl SchemaEntry {
    /// In the order of their names, invalid ones first.
    pub fn examples(&self) -> impl Iterator<Item = Example> {
        let folder = format!("examples/{}/v{}/", self.event_type, self.version);
        FILES.iter().filter_map(move |(path, text)| {
            let (kind, file) = path.strip_prefix(&folder)?.split_once('/')?;
            Some(Example { valid: kind == "valid", name: file.strip_suffix(".json")?, text })
        })
    }

    /// What this version changed, and what readers and writers have to do about it: Markdown.
    pub fn note(&self) -> Option<&'static str> {
        file(&format!("prose/{}/v{}.md", self.event_type, self.version))
    }

    /// What is to be known of the event beyond its schema: Markdown.
    pub fn prose(&self) -> Option<&'static str> {
        file(&format!("prose/{}/about.md", self.event_type))
    }
}

impl EventType {
    /// What is to be known of all events about the same thing: Markdown.
    pub fn family_prose(self) -> Option<&'static str> {
        file(&format!("prose/{}/about.md", self.family()))
    }
}

fn file(wanted: &str) -> Option<&'static str> {
    FILES.iter().find_map(|(path, text)| (*path == wanted).then_some(*text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_belongs_to_a_version() {
        for (path, _) in FILES {
            let parts: Vec<_> = path.split('/').collect();
            let version = |part: &str| part.strip_prefix('v').and_then(|number| number.parse().ok());
            let known = match parts[..] {
                ["examples", event, v, "valid" | "invalid", file] => {
                    file.strip_suffix(".json").is_some()
                        && version(v).is_some_and(|v| SchemaEntry::find(event, v).is_some())
                }
                ["prose", event, "about.md"] => {
                    let family = |entry: &SchemaEntry| entry.event_type.family() == event;
                    SchemaEntry::newest(event).is_some() || crate::all_schemas().iter().any(family)
                }
                ["prose", event, file] => {
                    let number = file.strip_suffix(".md").and_then(version);
                    number.is_some_and(|number| SchemaEntry::find(event, number).is_some())
                }
                _ => false,
            };
            assert!(known, "{path}");
        }
    }

    #[test]
    fn every_event_and_every_family_has_its_prose() {
        for entry in crate::all_schemas() {
            assert!(entry.prose().is_some(), "prose/{}/about.md is missing", entry.event_type);
            let family = entry.event_type.family();
            assert!(entry.event_type.family_prose().is_some(), "prose/{family}/about.md is missing");
        }
    }

    #[test]
    fn a_version_after_the_first_says_what_it_changed() {
        for entry in crate::all_schemas().iter().filter(|entry| entry.version > 1) {
            assert!(entry.note().is_some(), "prose/{}/v{}.md is missing", entry.event_type, entry.version);
        }
    }
}
