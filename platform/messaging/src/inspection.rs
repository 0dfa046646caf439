//! What a consumer has on the bus as it is, and which of its calls are allowed, for whoever judges whether a worker can
//! live with that.
//!
//! Whether it is what the topology says, [`verify`](crate::Bus::verify) tells; that takes permissions which no worker
//! has. Looking here takes what a worker may do anyway, so a worker can look at its own start.

use std::time::Duration;

use crate::Counts;

/// A consumer's own queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerFacts {
    pub queue: Looked,
    pub dead_letters: Looked,
}

/// What came of looking at a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    Found(Box<QueueFacts>),
    Missing,
    /// Whoever asked may not know.
    Denied {
        call: &'static str,
        code: String,
    },
}

/// A queue as it is. What a bus doesn't have is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFacts {
    pub name: String,
    /// By which the API of SQS knows it.
    pub url: Option<String>,
    pub is_fifo: bool,
    /// How long a message is hidden from others where a receive doesn't say.
    pub visibility: Option<Duration>,
    pub retention: Option<Duration>,
    pub redrive: Option<RedriveFacts>,
    pub counts: Counts,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveFacts {
    /// The name of a queue.
    pub target: String,
    pub max_receive_count: u32,
}

/// A call that a worker makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// As IAM calls it: `sqs:DeleteMessage`.
    pub action: &'static str,
    pub queue: String,
    pub tried: Tried,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    Allowed,
    Denied {
        code: String,
    },
    /// Trying it would do something; what, this says.
    Untried(&'static str),
    /// Neither was the answer.
    Unclear {
        code: String,
    },
}

impl Looked {
    pub fn found(&self) -> Option<&QueueFacts> {
        match self {
            Self::Found(facts) => Some(facts),
            Self::Missing | Self::Denied { .. } => None,
        }
    }
}
