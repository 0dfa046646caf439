//! Events as contracts between services: who sends and who reads them, what a change of a schema would break, payloads
//! that are valid, and the catalog that tells people all of it.
//!
//! Everything follows from the types in `schemas` and from the registered handlers; nothing here is a second copy.

mod catalog;
mod difference;
mod landscape;

pub use catalog::{
    CatalogSource, Change, FileDifference, Files, MARK, OVERVIEW, Problem, ProblemKind, Unprojectable, compare_files,
    draft7, files as catalog_files,
};
pub use difference::{DifferenceKind, SchemaDifference, schema_differences};
pub use landscape::{Landscape, Reader, Sender};
