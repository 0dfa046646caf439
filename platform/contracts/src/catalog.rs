//! The event catalog: who sends what to whom, as files for people and for tools.
//!
//! [`files`] is a pure function from the registered code to the text of every file of `event-catalog/`: EventCatalog's
//! folder layout and front matter, an AsyncAPI document, and pages that read well where a forge shows them. No clock, no
//! machine and no order of a hash has a say in it, so a file that differs is stale and nothing else. What people wrote
//! (beside the types in `schemas/prose`, and beside each service) is merged in.
//!
//! Invariant: what refers to something that isn't there is a [`Problem`] with its place, and then there is no catalog.

mod asyncapi;
mod channel_pages;
mod comparison;
mod draft7;
mod event_pages;
mod examples;
mod front_matter;
mod graph;
mod markdown;
mod overview;
mod payload;
mod problems;
mod prose;
mod service_pages;
mod system;

use std::collections::BTreeMap;

use messaging::Names;

pub use self::{
    comparison::{Change, FileDifference, compare_files},
    draft7::{Unprojectable, draft7},
    problems::{Problem, ProblemKind},
};
use self::{examples::Shown, system::System};
use crate::Landscape;

/// Texts by their paths within the folder, with `/` between the parts.
pub type Files = BTreeMap<String, String>;

/// The first line of the overview's second paragraph: what tells a catalog from any other folder.
pub const MARK: &str = "<!-- Written by `waypost catalog build`: change the code or its prose, not this folder. -->";

/// Where [`MARK`] is.
pub const OVERVIEW: &str = "README.md";

/// What a catalog is made from.
#[derive(Debug, Clone)]
pub struct CatalogSource<'a> {
    pub landscape: &'a Landscape,
    pub names: &'a Names,
    /// What is said of a service beside its code, by its name: Markdown.
    pub abouts: &'a [(&'a str, &'a str)],
}

/// Every file of the catalog, or everything that keeps it from being right.
pub fn files(source: &CatalogSource<'_>) -> Result<Files, Vec<Problem>> {
    let system = System::of(source);
    let mut problems = problems::of_references(&system);
    let shown = Shown::all(&mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let document = asyncapi::document(&system, &shown)?;
    let mut files = Files::new();
    event_pages::add(&mut files, &system, &shown);
    service_pages::add(&mut files, &system);
    channel_pages::add(&mut files, &system);
    files.insert(asyncapi::PATH.to_owned(), document);
    files.insert(OVERVIEW.to_owned(), overview::page(&system));
    let dangling = problems::of_links(&files);
    if dangling.is_empty() { Ok(files) } else { Err(dangling) }
}
