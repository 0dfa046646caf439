//! The bus of one machine: topics and queues in PostgreSQL, on PGMQ.
//!
//! The semantics are SQS's, and its SQL is in `migrations/bus_db`: every function called here is one of that schema. What
//! takes the place of long polling is [`waking`]: a receive that finds nothing waits for a notification, for the moment at
//! which a hidden message comes back, or for a second, whichever is first. Notifications are hints; the second is the
//! guarantee.

mod connect;
mod publisher;
mod queue;
mod topology;
mod waking;

pub use connect::PostgresBus;

/// Messages of one call that travel in one statement.
const MESSAGES_IN_A_STATEMENT: usize = 500;
