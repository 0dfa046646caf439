//! The APIs of auth-service and user-service, and what they are measured beside: the same statements behind bare handlers.

pub mod accounts;
pub mod bare;
pub mod client;
pub mod endpoints;
pub mod hashed;
pub mod profiles;
pub mod service;
pub mod sql;
pub mod tokens;
