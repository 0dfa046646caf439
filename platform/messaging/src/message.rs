use std::{collections::BTreeMap, fmt};

use time::OffsetDateTime;

/// A message on its way to a topic or a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutgoingMessage {
    pub body: String,
    /// String attributes: at most ten, since SNS drops a raw message that has more.
    pub attributes: BTreeMap<String, String>,
}

/// A message as a queue hands it out, still unread.
#[derive(Clone, PartialEq, Eq)]
pub struct RawMessage {
    pub id: MessageId,
    pub receipt: Receipt,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    /// How often the queue has handed the message out, this time included.
    pub receive_count: u32,
    /// When it was first sent to the queue. A standard dead-letter queue keeps the original time.
    pub sent_at: Option<OffsetDateTime>,
}

/// The queue's own id of a message. A redelivery keeps it; sending the same event again does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub String);

/// The right to settle one delivery of a message. The next delivery has another, and this one is then void.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RawMessage {
    /// Without the body, which may hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMessage")
            .field("id", &self.id)
            .field("bytes", &self.body.len())
            .field("receive_count", &self.receive_count)
            .finish_non_exhaustive()
    }
}

impl RawMessage {
    /// The same content, to be sent again.
    pub fn to_outgoing(&self) -> OutgoingMessage {
        OutgoingMessage { body: self.body.clone(), attributes: self.attributes.clone() }
    }
}
