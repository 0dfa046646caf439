//! Dead letters by fault.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use time::OffsetDateTime;

use crate::DeadLetter;

/// All letters with one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub fingerprint: String,
    pub count: usize,
    pub reason: String,
    /// The innermost cause of the example.
    pub message: String,
    pub types: BTreeSet<String>,
    pub handlers: BTreeSet<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_seen: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen: Option<OffsetDateTime>,
    /// How many of them failed again after a replay.
    pub refailed: usize,
    /// The one that died last.
    pub example: String,
}

#[derive(Debug, Default)]
pub struct Groups(HashMap<String, Group>);

impl Groups {
    pub fn add(&mut self, letter: &DeadLetter) {
        let reason = letter.reason();
        let died_at = letter.died_at();
        let group = self.0.entry(reason.fingerprint.clone()).or_insert_with(|| Group {
            fingerprint: reason.fingerprint.clone(),
            count: 0,
            reason: reason.name.clone(),
            message: String::new(),
            types: BTreeSet::new(),
            handlers: BTreeSet::new(),
            first_seen: None,
            last_seen: None,
            refailed: 0,
            example: String::new(),
        });
        group.count += 1;
        group.refailed += usize::from(letter.replayed().is_some());
        group.types.extend(letter.event_type().map(str::to_owned));
        group.handlers.extend(reason.handler.clone());
        group.first_seen = group.first_seen.into_iter().chain(died_at).min();
        if group.example.is_empty() || died_at >= group.last_seen {
            group.message.clone_from(reason.causes.last().unwrap_or(&reason.message));
            letter.id().clone_into(&mut group.example);
            group.last_seen = group.last_seen.into_iter().chain(died_at).max();
        }
    }

    /// The largest first.
    pub fn sorted(self) -> Vec<Group> {
        let mut groups: Vec<_> = self.0.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
        groups
    }
}
