//! What every process does first and last, whichever service it is.
//!
//! First: read its [`settings`] (all that is wrong is reported at once), start [`telemetry`], wait for its database
//! ([`postgres`]), bind its port ([`http`]). Last: stop accepting, finish what is in hand, exit with a code that tells
//! whether anything was lost ([`lifecycle`]). In between, every error answer is a [`problem`] document, and [`health`]
//! says whether to send traffic here. Keys that services sign, seal and open with are folders of files ([`key_files`]).
//! An API that takes tokens of another is a [`resource_server`]. A [`card_number`] is found wherever somebody wrote one.
//!
//! This crate knows no service and no event. Nothing in it is global but what the libraries below make so (the log
//! subscriber, the metrics recorder): tokens, settings and pools are passed as arguments.

pub mod access_token;
pub mod cache;
pub mod card_number;
pub mod docs;
mod error_chain;
pub mod health;
pub mod http;
pub mod key_files;
pub mod lifecycle;
pub mod postgres;
pub mod problem;
pub mod rate_limit;
mod recent;
pub mod redis;
pub mod resource_server;
pub mod settings;
pub mod telemetry;

pub use error_chain::ErrorChain;
pub use lifecycle::Lifecycle;
pub use problem::Problem;
