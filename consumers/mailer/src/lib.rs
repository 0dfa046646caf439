//! mailer: writes to people about their accounts, from what auth-service emits.

/// The name of this service, and of its queue.
pub const NAME: &str = "mailer";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");
