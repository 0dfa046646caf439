//! The consumer runtime: receive → decode → one transaction with `event_logs` → settle. It knows no event by name.
//!
//! At least once on the wire becomes exactly once in effect because the claim in `event_logs` and the handler's changes
//! commit together or not at all, and a message is acknowledged only after that commit. A copy of an event finds the
//! claim taken, changes nothing, and is acknowledged like the first.
//!
//! Invariant: whatever happens to a worker, a message is either applied and acknowledged, or still the queue's.
//!
//! # For those who know SQS
//!
//! You would write a loop: receive ten, do the work, delete. What this crate adds to the loop is what goes wrong with it.
//!
//! | You know | Here |
//! | --- | --- |
//! | A message can come twice, and standard queues reorder | An event is claimed in `event_logs` in the transaction of its handler, by its own id and not by the message's. Events of one subject go one after the other within a worker; across workers, compare [`Received::sequence`] in your SQL |
//! | The visibility timeout counts from the receive | Everything in hand is extended from then on, also while it waits. A handler whose lease is lost is cancelled, at the database too, and rolled back |
//! | You delete what is done, up to ten at a time | Deletes are put together after the commit, for ten milliseconds at the most; each entry's answer is read, and what failed is asked for again |
//! | What fails is hidden until the timeout ends | A handler says what kind of failure it was, and that decides: [`HandlerError::Retry`] backs off with jitter, [`HandlerError::Reject`] goes to the dead-letter queue at once with its reason |
//! | Every receive counts towards `maxReceiveCount` | That is the net for crashes. Attempts are counted by the worker, and an outage counts for nothing: [`HandlerError::Unavailable`] holds messages while the dependency itself is probed |
//! | One message, one call | Events of one handler are applied together: one transaction for a hundred. One that fails is found by bisecting, or by a [`Verdict`] for each |
//! | On SIGTERM you finish what you have | So does [`Worker::run`], and it hands back what it has not begun, at once |
//!
//! # A worker
//!
//! An event is a struct, a handler is what to do with it, a [`Consumer`] is a name with handlers, and its queues follow from
//! that. This is all of `examples/count_words.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/count_words.rs")]
//! ```
//!
//! The database needs the tables of `migrations/user_db/*_event_logs.sql` and `*_workers.sql`, beside your own.
//!
//! # Handlers
//!
//! - [`ApplyEvents`] changes tables of yours, set-based: exactly once in effect. It is what you want wherever you can have it.
//! - [`ConsumerBuilder::apply_each`] makes the same promise for an `async fn` that takes one event after the other.
//! - [`PerformEffect`] does what no transaction can hold, such as sending mail: at least once. Its name says so.
//! - [`Middleware`] goes around all of them.
//!
//! A handler never commits, never deletes a message, never sleeps on a retry, and never asks whether it has seen an event.
//! What it must do: lock rows in a fixed order, guard what it overwrites by `sequence`, and upsert, because the event that
//! made a row may come after the one that changes it.
//!
//! Try them without a queue, on a database of the test's own: `testing::Harness`, by the feature `testing`.
//!
//! # How it works
//!
//! A message moves through types: `RawMessage` (received, unread) → [`Delivery`] (read, held under a lease) → settled:
//! deleted, handed back with a delay, or sent to the dead-letter queue with its reason. The parts:
//!
//! - `message`: `receive` polls as far as credit allows, `lease` keeps what is held hidden from other workers, `decode` reads;
//!   `settlement`, `settle` and `dead_letter` give it back to the queue's keeping;
//! - `dispatch`: `order` knows which event may go, the loop makes batches of them by handler, `suspects` runs alone what may
//!   have killed a worker;
//! - `transaction` applies a batch and bisects one that fails; beside it, `effect` performs what has no transaction, `attempt`
//!   puts a failure on record, and `breaker` holds messages while a dependency is down, without spending their receives;
//! - `inbox` is the SQL of the claims, with `window` for the weeks of `event_logs` and `heartbeat` for the row by which a fleet
//!   is seen;
//! - `survey` and `measure` have the metrics of `docs/metrics.md`.

mod dispatch;
mod handler;
mod inbox;
mod measure;
mod message;
mod registry;
mod settings;
mod status;
mod survey;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod transaction;
mod worker;

pub use handler::{
    ApplyEach, ApplyEvents, Call, Effect, HandlerError, Middleware, Next, PerformEffect, Received, Verdict,
};
pub use inbox::heartbeat::{HEARTBEAT_EVERY, Seen, fleet};
pub use inbox::ledger::{
    Application, AppliedEvent, AppliedFilter, FailedAttempt, LastFailure, applications, applied, arrivals, deaths,
    failed_attempts, find_applied, last_failures, oldest_applicable,
};
pub use inbox::window::{EVENT_FAILURES, EVENT_LOGS, maintain_inbox};
pub use measure::describe_metrics;
pub use message::dead_letter::{FAILURE_ATTRIBUTE, FailureReport, LARGEST_REPORT, REPLAY_ATTRIBUTE};
pub use message::decode::{Delivery, Refusal, RejectedAs, preflight};
pub use message::settlement::Outcome;
pub use partitions::PartitionError;
pub use registry::{Consumer, ConsumerBuilder, Reading};
pub use settings::{InvalidSettings, WorkerSettings};
pub use status::Status;
pub use transaction::failure::FailureClass;
pub use worker::{Worker, WorkerError};
