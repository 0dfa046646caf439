//! Settings come from the environment, and only from there.
//!
//! A reader answers with the value or with a [`SettingError`] that names the variable, says what it holds (unless that
//! is secret) and what it should hold. [`all`] joins several readers, so that a process with three wrong settings says
//! so once, not in three attempts.

mod app_env;
mod env;
mod error;
mod this_machine;
mod together;

pub use app_env::AppEnv;
pub use env::Env;
pub(crate) use env::number_within;
pub use error::{SettingError, SettingErrors};
pub(crate) use this_machine::is_this_machine;
pub use together::{Together, all};
