//! What is said of the contracts, held against the schemas and their examples.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod catalog;
mod catalog_asyncapi;
mod catalog_references;
