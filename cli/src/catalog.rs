//! `waypost catalog`: the event catalog, written from the code and compared with it.

mod folder;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use contracts::{CatalogSource, Change, FileDifference, Files, Landscape, Problem, catalog_files, compare_files};
use messaging::Names;
use serde::Serialize;

use self::folder::Folder;
use crate::{consumers::CONSUMERS, landscape::landscape, outln, producers::PRODUCERS};

#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Write the catalog's folder, and remove from it what isn't the catalog's any more
    Build {
        #[command(flatten)]
        place: Place,
        /// Say what would change, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the changes as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare the folder with the code, judge examples and references; exit 1 where something is wrong
    Check {
        #[command(flatten)]
        place: Place,
        /// Print what is wrong as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct Place {
    /// The catalog's folder; else `event-catalog` here or in a folder above
    #[arg(long, value_name = "FOLDER")]
    dir: Option<std::path::PathBuf>,
}

/// All that is wrong, or was until now.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: Vec<FileDifference>,
    problems: Vec<Problem>,
}

impl Catalog {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let expected = catalog_of(&landscape());
        match self {
            Self::Build { place, dry_run, json } => build(place, expected, dry_run, json),
            Self::Check { place, json } => check(place, expected, json),
        }
    }
}

/// The catalog tells what an installation without a prefix has.
fn catalog_of(landscape: &Landscape) -> Result<Files, Vec<Problem>> {
    catalog_files(&CatalogSource { landscape, names: &Names::default(), abouts: &abouts() })
}

/// What is said of each service beside its code. One that sends and consumes says the same as both.
fn abouts() -> Vec<(&'static str, &'static str)> {
    let senders = PRODUCERS.iter().map(|row| (row.name, row.about));
    senders.chain(CONSUMERS.iter().map(|row| (row.name, row.about))).collect()
}

fn build(place: Place, expected: Result<Files, Vec<Problem>>, dry_run: bool, json: bool) -> anyhow::Result<ExitCode> {
    let folder = Folder::to_write(place.dir)?;
    let expected = match expected {
        Ok(expected) => expected,
        Err(problems) => {
            Report { problems, ..Report::default() }.print(json, "")?;
            eprintln!("nothing is written: a catalog of that would be wrong");
            return Ok(ExitCode::FAILURE);
        }
    };
    let report = Report { files: compare_files(&expected, &folder.read()?), ..Report::default() };
    if !dry_run {
        folder.write(&expected, &report.files)?;
    }
    report.print(json, if dry_run { "would be " } else { "" })?;
    let (count, total, path) = (report.files.len(), expected.len(), folder.path().display());
    match (count, dry_run) {
        (0, _) => eprintln!("{path} is as the code says: {total} files"),
        (_, true) => eprintln!("{count} of {total} files in {path} would change; without --dry-run they do"),
        (_, false) => eprintln!("{count} of {total} files in {path} have changed"),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(place: Place, expected: Result<Files, Vec<Problem>>, json: bool) -> anyhow::Result<ExitCode> {
    let folder = Folder::to_read(place.dir)?;
    let path = folder.path().display();
    let (report, total) = match expected {
        Ok(expected) => {
            let files = compare_files(&expected, &folder.read()?);
            (Report { files, ..Report::default() }, expected.len())
        }
        Err(problems) => (Report { problems, ..Report::default() }, 0),
    };
    if json {
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for problem in &report.problems {
            outln!("wrong   {problem}");
        }
        for file in &report.files {
            outln!("{file}");
        }
    }
    match (report.problems.len(), report.files.len()) {
        (0, 0) => {
            eprintln!(
                "{path} is as the code says: {total} files; every example is valid, every reference leads somewhere"
            );
            return Ok(ExitCode::SUCCESS);
        }
        (0, stale) => {
            eprintln!(
                "{stale} files in {path} are not as the code says ({total} altogether): run `waypost catalog build`"
            );
        }
        (wrong, _) => eprintln!("{wrong} things are wrong where they are written; files were not compared"),
    }
    Ok(ExitCode::FAILURE)
}

impl Report {
    fn print(&self, json: bool, tense: &str) -> anyhow::Result<()> {
        if json {
            outln!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        for problem in &self.problems {
            outln!("wrong: {problem}");
        }
        for FileDifference { path, change } in &self.files {
            let done = match change {
                Change::Missing => "written",
                Change::Extra => "removed",
                Change::Stale { .. } => "changed",
            };
            outln!("{tense}{done} {path}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use contracts::{Reader, Sender};
    use schemas::EventType;

    use super::*;

    const CREATED: EventType = EventType::new("user.created");
    const DISCONTINUED: EventType = EventType::new("product.discontinued");

    /// What `check` would say of the committed folder if the code were this.
    fn stale(change: impl FnOnce(&mut Landscape)) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-catalog");
        let committed = Folder::to_read(Some(folder)).unwrap().read().unwrap();
        let mut changed = landscape();
        change(&mut changed);
        differing(&changed, &committed)
    }

    fn differing(code: &Landscape, written: &Files) -> Vec<String> {
        let differences = compare_files(&catalog_of(code).unwrap(), written);
        differences.into_iter().map(|difference| difference.path).collect()
    }

    fn reader(event_type: EventType, fields: &[&str]) -> Reader {
        Reader {
            consumer: user_service::NAME.to_owned(),
            handler: "added_without_building".to_owned(),
            event_type,
            version: schemas::SchemaEntry::newest(event_type.as_str()).unwrap().version,
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        }
    }

    #[test]
    fn a_handler_that_is_added_without_building_the_catalog_makes_exactly_its_pages_stale() {
        assert_eq!(
            stale(|code| code.readers.push(reader(CREATED, &["/userId"]))),
            ["asyncapi.json", "events/user.created/index.mdx", "services/user-service/index.mdx"]
        );
    }

    #[test]
    fn a_field_that_a_handler_reads_anew_makes_its_pages_stale() {
        assert_eq!(
            stale(|code| {
                let of_created = code.readers.iter_mut().find(|reader| reader.event_type == CREATED);
                of_created.unwrap().fields.push("/source".to_owned());
            }),
            ["asyncapi.json", "events/user.created/index.mdx", "services/user-service/index.mdx"]
        );
    }

    #[test]
    fn an_event_that_is_sent_without_building_the_catalog_is_missed_with_its_topic() {
        // As it was when nobody sent it, and nobody read it.
        let mut code = landscape();
        for sender in &mut code.senders {
            sender.events.remove(&DISCONTINUED);
        }
        code.readers.retain(|reader| reader.event_type != DISCONTINUED);
        for subscriber in &mut code.subscribers {
            subscriber.events.remove(&DISCONTINUED);
        }
        let written = catalog_of(&code).unwrap();
        code.senders.push(Sender { service: "product-service", events: [DISCONTINUED].into() });
        assert_eq!(
            differing(&code, &written),
            [
                "README.md",
                "asyncapi.json",
                "channels/topic.product-discontinued/index.mdx",
                "events/product.discontinued/index.mdx",
                "services/product-service/index.mdx",
            ]
        );
    }

    #[test]
    fn every_service_of_the_landscape_says_what_it_is() {
        let landscape = landscape();
        let senders = landscape.senders.iter().map(|sender| sender.service);
        for name in senders.chain(landscape.subscribers.iter().map(|subscriber| subscriber.consumer.as_str())) {
            assert!(abouts().iter().any(|(service, _)| *service == name), "{name} has no about.md");
        }
    }
}
