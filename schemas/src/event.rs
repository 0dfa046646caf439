//! What makes a struct an event.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::read::PayloadError;

/// The name of an event: lower-case words joined by dots, in the past tense (`user.created`).
///
/// Neither dots nor upper case survive in the name of an SNS topic, and no word holds a hyphen, so that the mapping to
/// topic names goes both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(&'static str);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the name of a topic: it should be lower-case words joined by hyphens")]
pub struct InvalidEventType(pub String);

impl EventType {
    /// Panics (at compile time, in a constant) where `name` is not lower-case words joined by dots.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        let mut at = 0;
        let mut word = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'a'..=b'z' => word += 1,
                b'.' => {
                    assert!(word > 0, "an event type has no empty word");
                    word = 0;
                }
                _ => panic!("an event type is lower-case words joined by dots"),
            }
            at += 1;
        }
        assert!(word > 0, "an event type has no empty word");
        Self(name)
    }

    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// `user.created` → `user-created`.
    pub fn topic_name(self) -> String {
        self.0.replace('.', "-")
    }

    /// `user-created` → `user.created`.
    pub fn name_of_topic(topic: &str) -> Result<String, InvalidEventType> {
        let fits = topic.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        if fits { Ok(topic.replace('-', ".")) } else { Err(InvalidEventType(topic.to_owned())) }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One version of one event's payload.
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    const TYPE: EventType;
    const VERSION: u32;

    /// Whom the event is about: the `CloudEvents` subject.
    fn subject(&self) -> String;
}

/// The newest version of an event: the one that handlers see.
pub trait Newest: Event {
    /// Reads a payload of any version that was ever published, raised to this one.
    fn read(version: u32, data: &RawValue) -> Result<Self, PayloadError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_map_both_ways() {
        let event = EventType::new("user.email.verification.requested");
        assert_eq!(event.topic_name(), "user-email-verification-requested");
        assert_eq!(EventType::name_of_topic(&event.topic_name()).unwrap(), event.as_str());
    }

    #[test]
    fn a_topic_that_is_no_event_is_refused() {
        for topic in ["", "user--created", "-user", "user.created", "User-created", "user-created-2"] {
            assert_eq!(EventType::name_of_topic(topic), Err(InvalidEventType(topic.to_owned())));
        }
    }
}
