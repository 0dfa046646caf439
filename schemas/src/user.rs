//! Events about users, published by auth-service.

mod created;
mod email;

pub use created::UserCreatedV1;
pub use email::{Email, InvalidEmail};
