//! The bus: [`Publisher`] puts messages on topics, [`Queue`] takes them off queues, [`Topology`] says which topics and
//! queues there are, [`Bus`] is the place where they are: [`AwsBus`] (SNS and SQS) or [`PostgresBus`] (one machine).
//!
//! The semantics are those of SNS and SQS (at least once, visibility, receive counts, batches answered entry by
//! entry), and what SQS can't do no backend offers. `conformance` (a feature, for tests) states them as a suite that
//! every backend is held to.
//!
//! Invariant: nothing here answers for a whole batch. Every entry that goes in has a result of its own, at its own
//! position, because SNS and SQS answer 200 to requests in which entries failed.

mod aws;
mod bus;
mod difference;
mod entry;
mod inspection;
mod limits;
mod measuring;
mod message;
mod mock;
mod moving;
mod notification;
mod postgres;
mod prune;
mod publisher;
mod queue;
mod retry_delay;
mod topology;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use aws::{AwsBus, AwsSettings, Duty, Place, awslocal_script, cloudformation_template, policy_document};
pub use bus::{Bus, ConnectError};
pub use difference::{Difference, FieldChange};
pub use entry::{BusError, EntryError};
pub use inspection::{ConsumerFacts, Looked, Permission, QueueFacts, RedriveFacts, Tried};
pub use limits::{MAX_ATTRIBUTES, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, TooLarge, Unsendable, check_sendable};
pub use measuring::describe_metrics;
pub use message::{MessageId, OutgoingMessage, RawMessage, Receipt};
pub use mock::MockPublisher;
pub use moving::{MoveProgress, MoveState, MoveTask};
pub use notification::{Body, unwrap_notification};
pub use postgres::PostgresBus;
pub use prune::{ABANDONED_AFTER, Extra, ExtraResource, Kept, Prune, TEMPORARY_CONSUMER};
pub use publisher::Publisher;
pub use queue::{Counts, Queue, ReceiveRequest};
pub use retry_delay::RetryDelay;
pub use topology::{Names, QueueSettings, Subscriber, Topology, TopologyError};
