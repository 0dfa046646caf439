//! `waypost products`: the catalogue, from files.

use std::{fs::File, io, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use outbox::{OUTBOX, Wake};
use product_service::{Import, ImportRow, Imported, Store, WrongRow, import, read};
use schemas::Clock;
use serde::Serialize;
use service::{
    http::TraceContext,
    settings::{Env, all},
};

use crate::{bus::patience, outln, producers::PRODUCT_SERVICE, progress::bar};

#[derive(Debug, Subcommand)]
pub enum Products {
    /// Make the catalogue say what a file says: all of it, or none and what is wrong with it
    Import(ImportFile),
}

const IMPORT: &str = "\
The file is CSV in UTF-8, with a header: sku, name, amountMinor (1999 is 19.99 EUR), currency, and,
where they are to change, description and status (available or unavailable). A SKU that is new
makes a product, one that is known changes it; products that the file doesn't name stay. It works on
PRODUCT_DATABASE_URL, as product-service does: each change is told by its event, in one transaction.

Where any row is wrong, nothing is written, and it exits with 1. Idempotent.

Examples:
  waypost products import catalogue.csv --dry-run
  waypost products import catalogue.csv
  zcat catalogue.csv.gz | waypost products import - --json";

#[derive(Debug, Args)]
#[command(after_help = IMPORT)]
pub struct ImportFile {
    /// The file; `-` is what comes in
    file: PathBuf,
    /// Say what would become of it, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// How many wrong rows people are shown.
const SHOWN: usize = 50;

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dry_run: bool,
    #[serde(flatten)]
    imported: Imported,
    wrong: Vec<WrongRow>,
}

impl Products {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let Self::Import(command) = self;
        command.execute(env).await
    }
}

impl ImportFile {
    async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (database, patience) = all((PRODUCT_SERVICE.database(env), patience(env)))?;
        let report = match self.read().with_context(|| format!("{} can't be read", self.file.display()))? {
            Err(wrong) => Report { dry_run: self.dry_run, wrong, ..Report::default() },
            Ok(rows) => {
                database.wait_until_ready(patience).await?;
                let pool = database.connect_lazy("waypost products");
                // The relay that makes this week's partition may never have run.
                partitions::maintain(&pool, OUTBOX, Clock::system().now()).await?;
                let store = Store::new(pool.clone(), Wake::none(), Clock::system());
                let report = self.write(&store, &rows).await?;
                if !self.dry_run && report.wrong.is_empty() {
                    // A relay in another process would find it within a second anyway.
                    let told = outbox::announce_once(&pool).await;
                    told.context("all of it is imported; a relay could not be told at once")?;
                }
                report
            }
        };
        report.print(self.json)?;
        Ok(if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn read(&self) -> io::Result<Result<Vec<ImportRow>, Vec<WrongRow>>> {
        if self.file.as_os_str() == "-" { read(io::stdin().lock()) } else { read(File::open(&self.file)?) }
    }

    async fn write(&self, store: &Store, rows: &[ImportRow]) -> anyhow::Result<Report> {
        let bar = bar(if self.dry_run { "comparing" } else { "importing" }, rows.len());
        let trace = TraceContext::start();
        let done = import(store, rows, self.dry_run, &trace, |done| bar.set_position(done as u64)).await;
        bar.finish_and_clear();
        let (imported, wrong) = match done.context("nothing was imported")? {
            Import::Done(imported) => (imported, Vec::new()),
            Import::Refused(wrong) => (Imported::default(), wrong),
        };
        Ok(Report { dry_run: self.dry_run, imported, wrong })
    }
}

impl Report {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            outln!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        for WrongRow { line, column, problem } in self.wrong.iter().take(SHOWN) {
            let column = column.as_ref().map(|column| format!(" `{column}`")).unwrap_or_default();
            outln!("line {line}:{column} {problem}");
        }
        if self.wrong.len() > SHOWN {
            outln!("and {} more; --json tells them all", self.wrong.len() - SHOWN);
        }
        let Imported { created, changed, unchanged } = self.imported;
        match (self.wrong.len(), self.dry_run) {
            (0, true) => outln!("{created} would be added, {changed} changed, {unchanged} left as they are"),
            (0, false) => outln!("{created} added, {changed} changed, {unchanged} left as they were"),
            (1, _) => eprintln!("1 fault: nothing was imported"),
            (faults, _) => eprintln!("{faults} faults: nothing was imported"),
        }
        Ok(())
    }
}
