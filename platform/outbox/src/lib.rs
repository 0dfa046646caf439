//! The transactional outbox: an event is written with the change it reports, and published afterwards.
//!
//! [`append()`] inserts into `outbox` inside the caller's transaction; after COMMIT the caller wakes the [`Relay`], which
//! claims rows under a lease, publishes them, and settles each by its own result. Wake-ups are for latency only: a scan
//! every second is the guarantee, so losing one costs a second and nothing else.
//!
//! Invariant: a row stays `pending` until the bus has confirmed that very entry. A relay that dies between publishing
//! and settling leaves a lease that runs out, and another publishes the row again: at least once, never not at all.
//! Any number of relays may run.

mod append;
mod forget;
mod lease;
mod ledger;
mod maintenance;
mod measure;
mod relay;
mod trace;
mod wake;

pub use append::{AppendError, LONGEST_DELAY, append, append_all, append_due, message};
pub use forget::{Forgotten, forget_subject};
pub use lease::RelayDatabaseError;
pub use ledger::{Backlog, OutboxRow, RowState, Unpublished, backlog, retry_failed, rows_of, unpublished};
pub use maintenance::{OUTBOX, keep_in_order};
pub use measure::describe_metrics;
pub use relay::{BusLabels, Relay, RelaySettings, Relayed};
pub use wake::{Wake, announce, announce_once, listen};
