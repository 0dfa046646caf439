use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use outbox::Unpublished;
use service::settings::Env;

use super::{Row, Source};
use crate::{moment, outln};

const EXAMPLES: &str = "\
Examples:
  waypost outbox list
  waypost outbox list --failed --type user.created
  waypost outbox list --failed --stuck --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct List {
    #[command(flatten)]
    source: Source,
    /// Only those that the bus refused; with --stuck, either
    #[arg(long)]
    failed: bool,
    /// Only those that are due and were tried before, or have been due for more than a minute
    #[arg(long)]
    stuck: bool,
    /// Events of this type, such as user.created
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let pool = self.source.connect(env).await?;
        let (which, kind) = match (self.failed, self.stuck) {
            (false, false) => (Unpublished::All, "unpublished"),
            (true, false) => (Unpublished::Failed, "failed"),
            (false, true) => (Unpublished::Stuck, "stuck"),
            (true, true) => (Unpublished::FailedOrStuck, "failed or stuck"),
        };
        // One more tells whether there are more.
        let found = outbox::unpublished(&pool, which, self.event_type.as_deref(), self.limit + 1);
        let found = found.await.context("could not read the outbox")?;
        let more = found.len() > self.limit as usize;
        let rows: Vec<_> = found.into_iter().take(self.limit as usize).map(Row::from).collect();
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rows)?);
        } else if !rows.is_empty() {
            print(&rows)?;
        }
        match (rows.len(), more) {
            (0, _) => eprintln!("no row is {kind}"),
            (count, false) => eprintln!("{count} {kind}"),
            (count, true) => eprintln!("{count} {kind}, cut by --limit {}: there are more", self.limit),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The first line of each within 80 columns; an error takes what it needs.
fn print(rows: &[Row]) -> anyhow::Result<()> {
    outln!("{:<20}  {:<11}  {:>5}  EVENT", "WRITTEN", "STATE", "TRIED");
    outln!("  {:<40}  LAST ERROR", "TYPE");
    for row in rows {
        let Row { event_id, state, attempts, created_at, .. } = row;
        outln!("{:<20}  {state:<11}  {attempts:>5}  {event_id}", moment::shown(*created_at));
        let event_type = format!("{}@{}", row.event_type, row.schema_version);
        let error = row.last_error.as_deref().unwrap_or("–").split_whitespace().collect::<Vec<_>>().join(" ");
        outln!("  {event_type:<40}  {error}");
    }
    Ok(())
}
