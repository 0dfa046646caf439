//! Whether this process lives, and whether to send work to it.
//!
//! `/livez` says that the process answers and that what must go on moving in it does: the runtime, and the loops that a
//! service has it watch. Whoever asks restarts what says no, so it must depend on nothing that a restart does not mend. A
//! loop therefore beats each time it goes round, whether or not the database or the bus answered it, and whether or not
//! there was anything to do; a loop that waits longer than its limit beats while it waits. `/readyz` is for what a process
//! depends on: it asks all of it at the same time, each with a time limit, and says no from the moment that stopping began.
//! `/metrics` is for Prometheus. The three serve on a service's own port, or on the admin port of a worker.

mod checks;
mod pulses;
mod routes;

pub use checks::{Condition, Health};
pub use pulses::{PULSE_LIMIT, Pulse};
pub use routes::{is_probe, routes};
