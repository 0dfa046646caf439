//! The bus of one machine: topics and queues in PostgreSQL, on PGMQ.
//!
//! The semantics are SQS's, and its SQL is in `migrations/bus_db`: every function called here is one of that schema. What
//! takes the place of long polling is [`waking`]: a receive that finds nothing waits for a notification, for the moment at
//! which a hidden message comes back, or for a second, whichever is first. Notifications are hints; the second is the
//! guarantee. Nothing expires: retention is SQS's alone.

mod connect;
mod extras;
mod inspection;
mod measuring;
mod publisher;
mod queue;
mod topology;
mod waking;

use std::ops::Range;

pub use connect::PostgresBus;

use crate::{OutgoingMessage, limits};

/// What travels in one statement: the server holds several copies of it at a time.
const MESSAGES_IN_A_STATEMENT: usize = 500;
const BYTES_IN_A_STATEMENT: usize = 2 * 1024 * 1024;

fn statements(messages: &[OutgoingMessage]) -> Vec<Range<usize>> {
    limits::cut(messages, MESSAGES_IN_A_STATEMENT, BYTES_IN_A_STATEMENT)
}
