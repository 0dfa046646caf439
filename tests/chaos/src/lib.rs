//! The proof under faults: producers, relays and workers run as processes, on servers of the run's own, while they are
//! killed, their servers are killed, and their requests are cut off, held up and left without an answer. Then the
//! databases and queues are asked, by distinct event ids, whether anything was lost or applied twice.
//!
//! Every fault is on a plan that follows from the seed ([`Plan`]), and falls due when so many events were committed,
//! published or applied, never at a time: so a seed does the same things at about the same points of the work, on a slow
//! machine as on a fast one. What processes do between two faults is theirs, and differs from run to run.
//!
//! Invariant: what is counted at the end comes from databases and queues alone ([`truth`]), never from the run's own
//! notes of what it did.

pub mod accounts;
mod faults;
pub mod killing;
pub mod plan;
mod processes;
pub mod producer;
pub mod proxy;
pub mod run;
pub mod servers;
pub mod stopping;
mod story;
pub mod truth;

pub use plan::Plan;
