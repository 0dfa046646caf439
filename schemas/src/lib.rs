//! The contracts: what an event looks like on the wire and how it is told from its copies. No IO.
//!
//! Every event is a CloudEvents 1.0 [`Envelope`] around a payload. A payload has one struct per version, with its
//! `TYPE` and `VERSION`; its JSON Schema is a golden file under `golden/`, so that a change to a contract shows as a
//! diff, and a line in `catalog.lock`, so that a released one can't change at all. `examples/` shows for each version
//! what is valid and what isn't. Consumers see only the newest version of a type: [`Newest::read`] raises older ones.
//!
//! Producers write strictly: no value can be made that its schema refuses. Consumers read leniently: fields that they
//! don't know are passed over.
//!
//! Invariant: the same event always has the same [`InboxKey`], whoever delivers it and how often.

mod backfill;
mod catalog;
mod clock;
mod corpus;
mod envelope;
mod event;
mod inbox_key;
mod product;
mod read;
mod redaction;
mod sequence;
mod user;
mod value;

pub use backfill::{BackfillRun, InvalidBackfillRun};
pub use catalog::{SchemaEntry, all as all_schemas};
pub use clock::Clock;
pub use corpus::Example;
pub use envelope::{Envelope, EnvelopeError, Header};
pub use event::{Event, EventType, InvalidEventType, Newest};
pub use inbox_key::{InboxKey, NoInboxKey, event_id};
pub use product::*;
pub use read::{PayloadError, UnreadableJson};
pub use redaction::{Classification, redact};
pub use sequence::{InvalidSequence, Sequence};
pub use user::*;
pub use value::*;

/// What [`event!`] and [`newest!`] write into the crates that use them. Not to be called by hand.
#[doc(hidden)]
pub mod for_macros {
    pub use serde_json::value::RawValue;

    pub use crate::{event::unknown_version, read::json};
}
