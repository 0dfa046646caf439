//! A publisher that accepts and records, and delivers nowhere (`EVENT_PUBLISHER_TYPE=mock`).

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use crate::{EntryError, MessageId, OutgoingMessage, Publisher, check_sendable};

/// Keeps the last [`MockPublisher::KEPT`] messages, so that a service left running on it does not grow for ever.
#[derive(Debug, Default)]
pub struct MockPublisher {
    accepted: AtomicU64,
    recorded: Mutex<Vec<(String, OutgoingMessage)>>,
}

impl MockPublisher {
    pub const KEPT: usize = 10_000;

    pub fn recorded(&self) -> Vec<(String, OutgoingMessage)> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept(&self, event_type: &str, message: &OutgoingMessage) -> Result<MessageId, EntryError> {
        check_sendable(message).map_err(|error| EntryError::refused("InvalidParameter", error.to_string()))?;
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() == Self::KEPT {
            recorded.remove(0);
        }
        recorded.push((event_type.to_owned(), message.clone()));
        Ok(MessageId(format!("mock-{number}")))
    }
}

#[async_trait]
impl Publisher for MockPublisher {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        messages.iter().map(|message| self.accept(event_type, message)).collect()
    }
}
