//! Events as contracts between services: who sends and who reads them, what a change of a schema would break, payloads
//! that are valid, and the catalog that tells people all of it.
//!
//! Everything follows from the types in `schemas` and from the registered handlers; nothing here is a second copy.

mod catalog;
mod compatibility;
mod difference;
mod fields;
mod inclusion;
mod landscape;
mod language;
mod sample;
mod shape;
mod specimen;
mod upcasting;
mod validity;

pub use catalog::{
    CatalogSource, Change, FileDifference, Files, MARK, OVERVIEW, Problem, ProblemKind, Unprojectable, compare_files,
    draft7, files as catalog_files,
};
pub use compatibility::{
    Affected, Compared, Direction, Finding, Incompatible, Mode, Published, Report, check, published_here,
};
pub use difference::{DifferenceKind, SchemaDifference, schema_differences};
pub use fields::{PayloadField, payload_fields};
pub use inclusion::{Gap, Older, gaps};
pub use landscape::{Landscape, Reader, Sender};
pub use sample::{SampleError, Sampler};
pub use shape::{InvalidSchema, Shape};
pub use upcasting::{FailedUpcast, Raised, try_upcaster};
pub use validity::{PayloadProblem, payload_problems, validator};
