//! Whether this process lives, and whether to send work to it.
//!
//! `/livez` says that the process answers, and looks at nothing else: restarting it does not mend a database. `/readyz`
//! asks every dependency at the same time, each with a time limit, and says no from the moment that stopping began.
//! `/metrics` is for Prometheus. The three serve on a service's own port, or on the admin port of a worker.

mod checks;
mod routes;

pub use checks::{Condition, Health};
pub use routes::{is_probe, routes};
