//! The benchmark: what Waypost does, beside the least that could do it.
//!
//! A scenario measures both sides on the same servers, in turn, several times, and tells the median with every run; what
//! is judged is the ratio, wherever there is something to compare with. `README.md` has the method and what was learnt.
//!
//! Invariant: a reference does the same work at the databases and queues, or less. Where they differ, the reference has
//! the easier part.

pub mod api;
pub mod backlog;
pub mod counted;
pub mod distance;
pub mod ground;
pub mod machine;
pub mod plot;
pub mod process;
pub mod report;
pub mod results;
mod road;
pub mod scenarios;
pub mod sizes;
pub mod statements;
pub mod window;
