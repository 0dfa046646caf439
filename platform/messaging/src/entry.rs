//! What can go wrong with a request, and with one entry of a batch.

use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// A request that the bus did not answer, or refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on `{target}` failed")]
pub struct BusError {
    pub operation: &'static str,
    pub target: String,
    #[source]
    pub source: Source,
}

impl BusError {
    pub fn new(operation: &'static str, target: impl Into<String>, source: impl Into<Source>) -> Self {
        Self { operation, target: target.into(), source: source.into() }
    }
}

/// Why one entry of a batch did not succeed. What follows from each is the caller's decision, hence three and no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The entry itself is at fault: sending it again as it is can't succeed.
    #[error("refused: {code}: {message}")]
    Refused { code: String, message: String },
    /// The receipt is void: the lease ran out, or the message is settled already.
    #[error("the receipt is void: {code}")]
    Gone { code: String },
    /// The bus was not there, was throttling, or failed: try again later.
    #[error("not available: {code}: {message}")]
    Unavailable { code: String, message: String },
}

impl EntryError {
    pub fn unavailable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unavailable { code: code.into(), message: message.into() }
    }

    pub(crate) fn no_topic(topic: &str) -> Self {
        Self::unavailable("NoTopic", format!("there is no topic `{topic}`: run `waypost topology apply`"))
    }

    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), message: message.into() }
    }
}
