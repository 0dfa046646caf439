//! The proof held to account: whatever is made wrong by hand, it finds; and the proxy does to requests what the plan
//! says.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod proxying;
mod verdicts;
