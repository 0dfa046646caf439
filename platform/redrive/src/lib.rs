//! What operators do to dead letters.
//!
//! Looking at a queue is receiving from it. So a look takes one [`Snapshot`]: every message once, under a lease that is
//! kept up while it is looked at and given back afterwards. What is shown, filtered, grouped and decided is that
//! snapshot, which lies in a file without a name and not in memory, however deep the queue is.
//!
//! Acting is in two steps. A [`Plan`] says what would become of each letter and why; carrying it out takes an
//! [`Approval`], which only somebody's `--execute` with a reason makes. The [`journal`] has a row for each letter, which
//! goes from planned to sent (or archived) to deleted: a letter is deleted only after the queue has confirmed its copy,
//! and whatever kills the process, [`Operation::resume`] goes on where it was. A copy that is sent twice that way is
//! recognised by the inbox.
//!
//! Invariant: at every moment a letter is in its dead-letter queue, in the queue it is replayed to, or in the archive.
//!
//! What was done is on record in the consumer's own database, which nobody can change ([`audit`]).

mod approval;
pub mod archive;
pub mod audit;
mod carry_out;
mod choice;
mod decision;
pub mod edit;
mod filter;
mod groups;
mod held;
pub mod journal;
mod letter;
mod operation;
mod outcome;
mod pace;
mod plan;
mod snapshot;
mod spool;
mod stamp;

pub use approval::{Approval, NoReason};
pub use carry_out::{Carried, Done, Progress};
pub use choice::READ_TOGETHER;
pub use decision::{Decision, Inbox, Leave};
pub use filter::{Attempts, Filter, InvalidAttempts};
pub use groups::{Group, Groups};
pub use letter::{DeadLetter, Reason};
pub use operation::{Operation, OperationError, Places};
pub use pace::{InvalidRamp, Metronome, Pace, Ramp};
pub use plan::{FORMAT as PLAN_FORMAT, Plan, Planned, Verb};
pub use snapshot::{Look, Saw, Snapshot, SnapshotError};
pub use spool::Stored;
pub use stamp::{REPLAY_ATTRIBUTE, ReplayStamp};
