//! Rate limits: how often somebody may ask, counted for all instances together.
//!
//! A [`Rule`] is a bucket that holds `burst` requests and wins one back each `interval` (GCRA: of each key one number is
//! kept, the time at which its bucket will be full again). Everything that a request is counted by is decided in one step, so a
//! request that one rule refuses is counted by none.
//!
//! With Redis, the step is one script, on Redis's own time: instances need no clock in common. While Redis is away, each
//! process counts for itself, with its part of the quota (`REPLICAS`); it never just lets everybody in. Both are one
//! algorithm and pass one suite of tests.
//!
//! Keys name a rule and an HMAC of what it counts by; neither an address of a person nor of a machine is in Redis, nor in a
//! log. The answer tells how much is left, by the fields of draft-ietf-httpapi-ratelimit-headers, but of rules that
//! count by whom a request is about: that would tell a stranger about them.

mod ahead;
mod bucket;
mod fields;
mod key;
mod limiter;
mod local;
mod openapi;
mod remembered;
mod rule;
mod shared;
mod throttle;

pub use key::LimitKey;
pub use limiter::{Charge, Charged, Decision, RateLimiter, RateLimits, Standing, describe_metrics};
pub use openapi::describe;
pub use rule::Rule;
pub use throttle::{Throttle, by_network, throttled};
