//! Accounts: who may sign in, with what, and as whom.
//!
//! A registration is one transaction: the account, its first role and the event `user.created` are committed together
//! or not at all ([`Registration`]). Which of two registrations with one address came first is decided by the unique
//! index on the normalised address ([`EmailAddress`]), never by looking first.
//!
//! Invariant: nobody learns from this API whether an address has an account. A registration gets the same answer
//! either way, and the password is hashed before the database is asked, so that both ways cost the same.
//!
//! This crate owns the tables `users`, `roles` and `user_roles` of `auth_db`. It knows nothing of the bus.

mod api;
mod email_address;
mod hashing;
mod password;
mod registration;
mod settings;

use schemas::{Event, EventType, UserCreatedV2};

pub use api::{health, router};
pub use email_address::{EmailAddress, InvalidEmailAddress};
pub use hashing::{HashError, HashLimits, PasswordHasher};
pub use password::{Password, UnfitPassword};
pub use registration::{RegisterError, Registered, Registration};
pub use settings::AuthSettings;

/// The service's name: the `source` of its events, and what databases and metrics call it.
pub const NAME: &str = "auth-service";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The events that it sends.
pub const SENDS: &[EventType] = &[UserCreatedV2::TYPE];
