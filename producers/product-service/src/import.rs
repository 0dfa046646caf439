//! The catalogue from a file: every row of it, or none and a report of the bad ones.
//!
//! The file is read whole first (`file`), so what is wrong with it is said of all rows at once. Then all of it is one
//! transaction: rows and events, in statements of a thousand rows each (`write`). Whoever stops in between has done nothing, and
//! the same file may be imported again: a row that says what the catalogue says already changes nothing and tells nothing.

mod file;
mod write;

pub use file::{ImportRow, WrongRow, read};
pub use write::{Import, Imported, import};
