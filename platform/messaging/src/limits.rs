//! What SNS and SQS accept, enforced before sending: emulators don't, and real SNS drops some of it in silence.
//!
//! Sources: SNS `PublishBatch` (10 entries, 256 KiB for the whole request, attributes counted), "Amazon SNS message
//! attributes" (raw delivery to SQS discards a message with more than 10), SQS `SendMessage` (which characters).

use std::ops::Range;

use crate::OutgoingMessage;

pub const MAX_BATCH_ENTRIES: usize = 10;
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
pub const MAX_ATTRIBUTES: usize = 10;

const STRING: usize = "String".len();

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{bytes} bytes with its attributes, at most {MAX_BATCH_BYTES} fit into a message")]
pub struct TooLarge {
    pub bytes: usize,
}

/// Why a message can't be sent at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unsendable {
    #[error("the message has {}", .0)]
    TooLarge(TooLarge),
    #[error("the message has {count} attributes, at most {MAX_ATTRIBUTES} are delivered")]
    TooManyAttributes { count: usize },
    #[error("the message holds U+{:04X}, which queues don't accept", *.character as u32)]
    Character { character: char },
    /// Sources: SNS and SQS, "message attributes".
    #[error("the attribute `{}` is not called by letters, digits, hyphens, underscores and dots", .name.escape_debug())]
    AttributeName { name: String },
    #[error("{part} is empty")]
    Empty { part: String },
}

/// The size that a message counts with: its body, and each attribute's name, type and value.
pub(crate) fn size(message: &OutgoingMessage) -> usize {
    let attributes = message.attributes.iter().map(|(name, value)| name.len() + STRING + value.len());
    message.body.len() + attributes.sum::<usize>()
}

pub fn check_sendable(message: &OutgoingMessage) -> Result<(), Unsendable> {
    if message.body.is_empty() {
        return Err(Unsendable::Empty { part: "the body".to_owned() });
    }
    if let Some((name, _)) = message.attributes.iter().find(|(name, value)| name.is_empty() || value.is_empty()) {
        return Err(Unsendable::Empty { part: format!("the attribute `{name}`") });
    }
    if message.attributes.len() > MAX_ATTRIBUTES {
        return Err(Unsendable::TooManyAttributes { count: message.attributes.len() });
    }
    let is_accepted_in_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if let Some(name) = message.attributes.keys().find(|name| !name.chars().all(is_accepted_in_name)) {
        return Err(Unsendable::AttributeName { name: name.clone() });
    }
    let bytes = size(message);
    if bytes > MAX_BATCH_BYTES {
        return Err(Unsendable::TooLarge(TooLarge { bytes }));
    }
    let mut texts = std::iter::once(&message.body).chain(message.attributes.values());
    match texts.find_map(|text| text.chars().find(|c| !is_accepted(*c))) {
        Some(character) => Err(Unsendable::Character { character }),
        None => Ok(()),
    }
}

/// #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
fn is_accepted(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Cuts messages into requests of at most ten entries and 256 KiB, in order. A message that is larger on its own gets a
/// request of its own, for the bus to refuse.
pub(crate) fn requests(messages: &[OutgoingMessage]) -> Vec<Range<usize>> {
    cut(messages, MAX_BATCH_ENTRIES, MAX_BATCH_BYTES)
}

/// As [`requests`], with limits of the caller's.
pub(crate) fn cut(messages: &[OutgoingMessage], most_entries: usize, most_bytes: usize) -> Vec<Range<usize>> {
    let mut requests = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, message) in messages.iter().enumerate() {
        let size = size(message);
        if at > start && (at - start == most_entries || bytes + size > most_bytes) {
            requests.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < messages.len() {
        requests.push(start..messages.len());
    }
    requests
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(bytes: usize) -> OutgoingMessage {
        OutgoingMessage { body: "x".repeat(bytes), attributes: [("type".to_owned(), "a.b".to_owned())].into() }
    }

    proptest! {
        #[test]
        fn requests_hold_every_message_once_and_fit(sizes in proptest::collection::vec(1usize..120_000, 0..40)) {
            let messages: Vec<_> = sizes.iter().map(|bytes| message(*bytes)).collect();
            let requests = requests(&messages);
            let indices: Vec<usize> = requests.iter().cloned().flatten().collect();
            prop_assert_eq!(indices, (0..messages.len()).collect::<Vec<_>>());
            for request in requests {
                prop_assert!(request.len() <= MAX_BATCH_ENTRIES);
                prop_assert!(messages[request].iter().map(size).sum::<usize>() <= MAX_BATCH_BYTES);
            }
        }
    }

    #[test]
    fn what_the_bus_would_refuse_or_drop_is_refused_here() {
        assert_eq!(check_sendable(&message(100)), Ok(()));
        assert_eq!(check_sendable(&message(0)), Err(Unsendable::Empty { part: "the body".to_owned() }));

        let fixed = size(&message(0));
        assert_eq!(check_sendable(&message(MAX_BATCH_BYTES - fixed)), Ok(()));
        let bytes = MAX_BATCH_BYTES + 1;
        assert_eq!(check_sendable(&message(bytes - fixed)), Err(Unsendable::TooLarge(TooLarge { bytes })));

        let mut eleven = message(1);
        eleven.attributes = (0..11).map(|n| (format!("a{n}"), "v".to_owned())).collect();
        assert_eq!(check_sendable(&eleven), Err(Unsendable::TooManyAttributes { count: 11 }));

        let mut odd = message(1);
        odd.attributes.insert("a\u{0}b".to_owned(), "v".to_owned());
        assert_eq!(check_sendable(&odd), Err(Unsendable::AttributeName { name: "a\u{0}b".to_owned() }));

        for character in ['\u{0}', '\u{1b}', '\u{fffe}', '\u{ffff}'] {
            let bad = OutgoingMessage { body: format!("a{character}b"), ..message(1) };
            assert_eq!(check_sendable(&bad), Err(Unsendable::Character { character }));
        }
    }
}
