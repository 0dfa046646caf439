//! The consumer runtime: receive → decode → one transaction with `event_logs` → settle. It knows no event by name.
//!
//! At least once on the wire becomes exactly once in effect because the claim in `event_logs` and the handler's changes
//! commit together or not at all, and a message is acknowledged only after that commit. A copy of an event finds the
//! claim taken, changes nothing, and is acknowledged like the first.
//!
//! A message moves through types: `RawMessage` (received, unread) → [`Delivery`] (read, held under a lease) → settled:
//! deleted, handed back with a delay, or sent to the dead-letter queue with its reason. The parts:
//!
//! - `receive` polls as far as credit allows, `lease` keeps what is held hidden from other workers;
//! - `dispatch` makes batches by handler, and runs what may have killed a worker alone;
//! - `transaction` applies a batch and bisects one that fails, to isolate the event at fault;
//! - `settle` and `dead_letter` give messages back to the queue's keeping;
//! - `outage` holds messages while a dependency is down, without spending their receives.
//!
//! Invariant: whatever happens to a worker, a message is either applied and acknowledged, or still the queue's.

mod attempt;
mod breaker;
mod dead_letter;
mod decode;
mod dispatch;
mod effect;
mod failure;
mod handler;
mod heartbeat;
mod inbox;
mod lease;
mod ledger;
mod line;
mod measure;
mod order;
mod receive;
mod registry;
mod settings;
mod settle;
mod settlement;
mod status;
mod survey;
mod suspects;
#[cfg(feature = "testing")]
pub mod testing;
mod transaction;
mod window;
mod work;
mod worker;

pub use dead_letter::{FAILURE_ATTRIBUTE, FailureReport, LARGEST_REPORT};
pub use decode::{Delivery, Refusal, RejectedAs, preflight};
pub use failure::FailureClass;
pub use handler::{
    ApplyEach, ApplyEvents, Call, Effect, HandlerError, Middleware, Next, PerformEffect, Received, Verdict,
};
pub use heartbeat::{HEARTBEAT_EVERY, Seen, fleet};
pub use ledger::{LastFailure, applied, last_failures, oldest_applicable};
pub use measure::describe_metrics;
pub use registry::{Consumer, ConsumerBuilder, Reading};
pub use settings::{InvalidSettings, WorkerSettings};
pub use settlement::Outcome;
pub use status::Status;
pub use window::{EVENT_FAILURES, EVENT_LOGS, maintain_inbox};
pub use worker::{Worker, WorkerError};
