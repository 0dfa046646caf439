use std::fmt;

use async_trait::async_trait;

use crate::{EntryError, MessageId, OutgoingMessage};

/// Puts messages on topics. Publishing is at least once: an entry that failed may still have been delivered.
#[async_trait]
pub trait Publisher: Send + Sync + fmt::Debug {
    /// Publishes any number of messages to the topic of `event_type`, cut into requests as the bus needs, and answers
    /// for each at its position.
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>>;
}

/// The name of an event type's topic, without the prefix of an installation.
pub(crate) fn topic_of(event_type: &str) -> String {
    event_type.replace('.', "-")
}
