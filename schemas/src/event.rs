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

    /// What it happened to: `user.created` → `user`.
    pub fn family(self) -> &'static str {
        self.0.split_once('.').map_or(self.0, |(family, _)| family)
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

    /// Whom or what the event is about: the `CloudEvents` subject.
    fn subject(&self) -> String;
}

/// The newest version of an event: the one that handlers see.
pub trait Newest: Event {
    /// Reads a payload of any version that was ever published, raised to this one.
    fn read(version: u32, data: &RawValue) -> Result<Self, PayloadError>;

    /// Whether [`Newest::read`] raises a payload of this version. A version that nobody sends any more can be removed,
    /// and only a reader that counts can say so.
    fn needs_upcast(version: u32) -> bool {
        version < Self::VERSION
    }
}

/// `event!("user.created", 2, UserCreatedV2, user_id);`: a struct is that version of that event, about that field.
#[macro_export]
macro_rules! event {
    ($event_type:literal, $version:literal, $name:ty, $($subject:tt).+) => {
        impl $crate::Event for $name {
            const TYPE: $crate::EventType = $crate::EventType::new($event_type);
            const VERSION: u32 = $version;

            fn subject(&self) -> String {
                self.$($subject).+.to_string()
            }
        }
    };
}

/// `newest!(V3, V2, V1);`: the newest version first, each of the others raised by `From` to the one before it.
#[macro_export]
macro_rules! newest {
    ($newest:ty $(, $older:ty)*) => {
        impl $crate::Newest for $newest {
            fn read(version: u32, data: &$crate::for_macros::RawValue) -> Result<Self, $crate::PayloadError> {
                let known = [$(<$older as $crate::Event>::VERSION,)* <$newest as $crate::Event>::VERSION];
                $crate::newest!(@read known, version, data, $newest $(, $older)*)
            }
        }
    };
    (@read $known:ident, $version:ident, $data:ident, $this:ty $(, $older:ty)*) => {
        if $version == <$this as $crate::Event>::VERSION {
            Ok($crate::for_macros::json::<$this>($data.get(), Some("data"))?)
        } else {
            $crate::newest!(@raise $known, $version, $data, $this $(, $older)*)
        }
    };
    (@raise $known:ident, $version:ident, $data:ident, $this:ty) => {
        Err($crate::for_macros::unknown_version::<$this>($version, &$known))
    };
    (@raise $known:ident, $version:ident, $data:ident, $this:ty, $($older:ty),+) => {{
        let older: Result<_, $crate::PayloadError> = $crate::newest!(@read $known, $version, $data, $($older),+);
        older.map(<$this>::from)
    }};
}
pub(crate) use {event, newest};

pub fn unknown_version<E: Event>(version: u32, known: &[u32]) -> PayloadError {
    let mut known: Vec<_> = known.to_vec();
    known.sort_unstable();
    let known: Vec<_> = known.iter().map(u32::to_string).collect();
    PayloadError::UnknownVersion { event_type: E::TYPE.as_str(), version, known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct OneV1 {
        a: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct OneV2 {
        b: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct OneV3 {
        c: String,
    }

    event!("one.done", 1, OneV1, a);
    event!("one.done", 2, OneV2, b);
    event!("one.done", 3, OneV3, c);
    newest!(OneV3, OneV2, OneV1);

    impl From<OneV1> for OneV2 {
        fn from(v1: OneV1) -> Self {
            Self { b: v1.a + "→2" }
        }
    }

    impl From<OneV2> for OneV3 {
        fn from(v2: OneV2) -> Self {
            Self { c: v2.b + "→3" }
        }
    }

    #[test]
    fn an_old_version_is_raised_step_by_step() {
        let data = RawValue::from_string(r#"{"a":"1","b":"2","c":"3"}"#.to_owned()).unwrap();
        let read = |version| OneV3::read(version, &data).map(|event| event.c);
        assert_eq!([1, 2, 3].map(|version| read(version).unwrap()), ["1→2→3", "2→3", "3"]);
        assert_eq!(read(4).unwrap_err().to_string(), "version 4 of `one.done` is not known here; known: 1, 2, 3");
        assert_eq!([1, 2, 3, 4].map(OneV3::needs_upcast), [true, true, false, false]);
        let broken = RawValue::from_string("{}".to_owned()).unwrap();
        assert!(matches!(OneV3::read(1, &broken), Err(PayloadError::Unreadable(_))));
    }

    #[test]
    fn topic_names_map_both_ways() {
        let event = EventType::new("user.email.verification.requested");
        assert_eq!(event.topic_name(), "user-email-verification-requested");
        assert_eq!(EventType::name_of_topic(&event.topic_name()).unwrap(), event.as_str());
        assert_eq!((event.family(), EventType::new("tick").family()), ("user", "tick"));
    }

    #[test]
    fn a_topic_that_is_no_event_is_refused() {
        for topic in ["", "user--created", "-user", "user.created", "User-created", "user-created-2"] {
            assert_eq!(EventType::name_of_topic(topic), Err(InvalidEventType(topic.to_owned())));
        }
    }
}
