//! What the mailer makes of events, on a real database and with a real mail server on the other side.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod failing;
mod keys;
mod reading;
mod server;
mod silence;
mod smtp;
mod world;
mod writing;
