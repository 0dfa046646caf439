//! The contracts: what an event looks like on the wire and how it is told from its copies. No IO.
//!
//! Every event is a CloudEvents 1.0 [`Envelope`] around a payload. A payload has one struct per version, with its
//! `TYPE` and `VERSION`; its JSON Schema is a golden file under `golden/`, so that a change to a published contract
//! shows as a diff. Consumers see only the newest version of a type: [`Newest::read`] raises older ones.
//!
//! Invariant: the same event always has the same [`InboxKey`], whoever delivers it and how often.

mod catalog;
mod clock;
mod envelope;
mod event;
mod inbox_key;
mod read;
mod sequence;
mod user;

pub use catalog::{Classification, SchemaEntry, all as all_schemas, redact};
pub use clock::Clock;
pub use envelope::{Envelope, EnvelopeError, Header};
pub use event::{Event, EventType, InvalidEventType, Newest};
pub use inbox_key::{InboxKey, NoInboxKey, event_id};
pub use read::{PayloadError, UnreadableJson};
pub use sequence::{InvalidSequence, Sequence};
pub use user::{Email, InvalidEmail, UserCreatedV1};
