//! What is not as the topology says, field by field.
//!
//! Settings that are policies are JSON documents. Services answer with other spacing and order, with numbers as strings,
//! and with a list of one as that one, so they are compared by what they mean.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{BusError, TopologyError};

/// Something on the bus that is not as the topology says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    pub resource: String,
    pub setting: String,
    pub expected: String,
    /// `None`: not there.
    pub found: Option<String>,
    /// With what it would be made, where the whole of it is missing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// One field of a setting, from what it is to what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// `RedrivePolicy.maxReceiveCount`.
    pub path: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// The settings that say whose something is.
pub(crate) const INSTALLATION: &str = "installation";
pub(crate) const INSTALLATION_TAG: &str = "waypost-installation";
const MARKS: [&str; 2] = [INSTALLATION, "tag waypost-installation"];

impl Difference {
    const EXISTENCE: &str = "existence";

    pub(crate) fn missing(resource: String, settings: BTreeMap<String, String>) -> Self {
        let (setting, expected) = (Self::EXISTENCE.to_owned(), "exists".to_owned());
        Self { resource, setting, expected, found: None, settings }
    }

    pub(crate) fn of(resource: &str, setting: &str, expected: &str, found: Option<String>) -> Self {
        let [resource, setting, expected] = [resource, setting, expected].map(str::to_owned);
        Self { resource, setting, expected, found, settings: BTreeMap::new() }
    }

    /// Whether the whole thing is not there, rather than different.
    pub fn is_missing(&self) -> bool {
        self.setting == Self::EXISTENCE
    }

    /// Refuses to change what carries the mark of another installation: two whose names run together would take turns.
    pub(crate) fn refuse_what_is_others(differences: &[Self]) -> Result<(), TopologyError> {
        let marks = |difference: &&Self| MARKS.contains(&difference.setting.as_str());
        let Some((resource, other)) =
            differences.iter().filter(marks).find_map(|mark| Some((&mark.resource, mark.found.as_ref()?)))
        else {
            return Ok(());
        };
        let why = format!("it is marked as that of installation `{other}`: give one of both another prefix");
        Err(TopologyError { what: format!("take {resource}"), source: BusError::new("marking", resource, why) })
    }

    /// What would change; for what is missing, everything that would be set.
    pub fn fields(&self) -> Vec<FieldChange> {
        if self.is_missing() {
            return self.settings.iter().flat_map(|(setting, value)| changes(setting, None, Some(value))).collect();
        }
        changes(&self.setting, self.found.as_deref(), Some(&self.expected))
    }
}

fn changes(setting: &str, from: Option<&str>, to: Option<&str>) -> Vec<FieldChange> {
    let leaves = |text: Option<&str>| {
        let mut leaves = BTreeMap::new();
        if let Some(text) = text {
            flatten(setting, meaning(text), &mut leaves);
        }
        leaves
    };
    let (mut before, after) = (leaves(from), leaves(to));
    let mut changes: Vec<_> = after
        .into_iter()
        .map(|(path, to)| FieldChange { from: before.remove(&path), to: Some(to), path })
        .filter(|change| change.from != change.to)
        .collect();
    changes.extend(before.into_iter().map(|(path, from)| FieldChange { path, from: Some(from), to: None }));
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

fn flatten(path: &str, value: Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (position, value) in items.into_iter().enumerate() {
                flatten(&format!("{path}[{position}]"), value, leaves);
            }
        }
        Value::String(text) => drop(leaves.insert(path.to_owned(), text)),
        other => drop(leaves.insert(path.to_owned(), other.to_string())),
    }
}

/// What a setting says, in one form for everything that says the same.
pub fn meaning(text: &str) -> Value {
    fn settle(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, settle(value))).collect(),
            Value::Array(items) => {
                let mut items: Vec<_> = items.into_iter().map(settle).collect();
                items.sort_by_key(ToString::to_string);
                if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
            }
            Value::Number(number) => Value::from(number.to_string()),
            other => other,
        }
    }
    serde_json::from_str(text).map_or_else(|_| Value::from(text), settle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_compare_by_meaning() {
        assert_eq!(meaning(r#"{"a":["x"],"b":"20"}"#), meaning(r#"{ "b": 20, "a": "x" }"#));
        assert_eq!(meaning(r#"["b","a"]"#), meaning(r#"["a","b"]"#));
        assert_ne!(meaning(r#"{"a":["x","y"]}"#), meaning(r#"{"a":["x"]}"#));
        assert_eq!(meaning("60"), meaning("60"));
        assert_ne!(meaning("60"), meaning("30"));
    }

    #[test]
    fn a_policy_that_differs_in_one_field_changes_in_that_field() {
        let (from, to) = (r#"{"q":"dlq","n":7,"old":[1,2]}"#, r#"{"n":"20","q":["dlq"],"new":{"x":true}}"#);
        let changes = changes("Policy", Some(from), Some(to));
        let lines: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.from.as_deref(), c.to.as_deref())).collect();
        assert_eq!(
            lines,
            [
                ("Policy.n", Some("7"), Some("20")),
                ("Policy.new.x", None, Some("true")),
                ("Policy.old", Some(r#"["1","2"]"#), None),
            ]
        );
    }

    #[test]
    fn what_is_missing_is_made_with_all_its_fields() {
        let settings = BTreeMap::from([("RedrivePolicy".to_owned(), r#"{"maxReceiveCount":20}"#.to_owned())]);
        let [change] = Difference::missing("queue reader".to_owned(), settings).fields().try_into().unwrap();
        let (path, to) = ("RedrivePolicy.maxReceiveCount".to_owned(), Some("20".to_owned()));
        assert_eq!(change, FieldChange { path, from: None, to });
    }
}
