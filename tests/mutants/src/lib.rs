//! Broken events: examples, mutated by dice that fall the same in every run.
//!
//! The schemas' own tests put them through the reader, those of the spine through a worker at work, and the decoder's
//! fuzz target starts from the same examples. A crate of its own, because the schemas' tests should not have to build a
//! bus.

mod corpus;
mod mutation;
mod quoting;

pub use corpus::{Corpus, Example, GUARDED, envelope, examples};
pub use mutation::{Dice, mutate_bytes, mutate_value, mutated, mutated_bytes};
pub use quoting::{quoted, told};
