//! PostgreSQL: where it is, how many connections, and waiting for it at the start.
//!
//! A database URL may carry pool settings as query parameters (`connection_limit`, `pool_timeout`, `connect_timeout`,
//! times in seconds); where it is silent, the environment decides. They are taken off before the driver sees the URL.
//!
//! `pool_timeout` bounds the whole wait for a connection, also where the pool has to open a new one: the driver counts
//! opening as part of waiting. `connect_timeout` bounds each attempt that is made outside the pool, at the start.

mod available;
mod pool;
mod ready;
mod settings;
mod url;

pub use available::{check, is_unavailable};
pub use pool::{Pool, PooledConnection, Transaction};
pub use ready::{ConnectFailure, NotReady};
pub use settings::{DatabaseUrl, PostgresSettings, database_url};
