//! Redis, where there is one: shared by all instances of a service, and never needed.
//!
//! Whoever asks has an answer within 50 ms, or hears that Redis is [`Away`] and does without. A connection that
//! breaks, or that fails three times in a row, is dropped, and from then on nobody waits for it: one task ([`Redis::keep`])
//! looks for another, and requests are never what finds out whether there is one. So a Redis that hangs costs the few
//! requests that meet it first 50 ms each, and the others nothing.
//!
//! Invariant: no call returns an error that a request could fail of.

mod connection;
mod script;
mod settings;
mod together;

pub use connection::{Away, Redis, describe_metrics};
pub use script::Script;
pub use settings::RedisSettings;

use crate::health::Condition;

/// For [`crate::health`]: without Redis a service does its work, with less than usual.
pub async fn check(redis: Option<&Redis>) -> Condition {
    match redis {
        Some(redis) => redis.check().await,
        None => Condition::Degraded("no Redis is set: limits count in each process, data comes from the database"),
    }
}
