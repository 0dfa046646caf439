//! What keeping a table in weeks promises, on PostgreSQL. Time is what each test says it is.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod locking;
mod making;
mod things;
