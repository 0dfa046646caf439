use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use schemas::{Clock, InboxKey};
use service::settings::{Env, all};
use time::OffsetDateTime;
use uuid::Uuid;
use worker::AppliedFilter;

use super::Entry;
use crate::{bus::patience, consumers::OneConsumer, moment, outln};

const EXAMPLES: &str = "\
Examples:
  waypost event-log find
  waypost event-log find --user 019ab6a1-7c3e-7d10-8f2b-0123456789ab --since 3d
  waypost event-log find --type user.created --since 2026-11-22T12:00:00Z --until 30m --limit 500 --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Find {
    /// The event with this id; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Events about this user
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// Events of this type, such as user.created; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Events from this time on: RFC 3339, or how long ago, such as 90s, 30m, 2h or 3d
    #[arg(long, value_name = "T", value_parser = point_in_time)]
    since: Option<OffsetDateTime>,
    /// Events before this time
    #[arg(long, value_name = "T", value_parser = point_in_time)]
    until: Option<OffsetDateTime>,
    #[command(flatten)]
    by: OneConsumer,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

fn point_in_time(text: &str) -> Result<OffsetDateTime, String> {
    moment::parse(text, Clock::system().now())
}

impl Find {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (database, patience) = all((self.by.get().database(env), patience(env)))?;
        database.wait_until_ready(patience).await?;
        let pool = database.connect_lazy("waypost-event-log");
        let filter = AppliedFilter {
            ids: self.ids,
            // As producers write a UUID.
            subject: self.user.map(|user| user.to_string()),
            types: self.types,
            since: self.since,
            until: self.until,
        };
        // One more tells whether there are more.
        let found = worker::find_applied(&pool, &filter, self.limit + 1).await.context("could not read event_logs")?;
        let more = found.len() > self.limit as usize;
        let rows: Vec<_> = found.into_iter().take(self.limit as usize).map(Entry::from).collect();
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rows)?);
        } else if !rows.is_empty() {
            print(&rows)?;
        }
        match (rows.len(), more) {
            (0, _) => eprintln!("no event that was applied is like that"),
            (count, false) => eprintln!("{}", events(count)),
            (count, true) => eprintln!("{}, cut by --limit {}: there are more", events(count), self.limit),
        }
        for id in missing(&filter.ids, &rows).filter(|_| !more) {
            eprintln!("not among them: {id}; `waypost event-log show` tells what else is known of it");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn events(count: usize) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// Ids that were asked for and not found, in whatever spelling.
fn missing<'a>(ids: &'a [String], rows: &[Entry]) -> impl Iterator<Item = &'a String> {
    ids.iter().filter(|id| {
        let key = InboxKey::of(id, "", None).ok().map(InboxKey::as_uuid);
        !rows.iter().any(|row| row.event_id == **id || Some(row.event_key) == key)
    })
}

/// Two lines for each, within 80 columns.
fn print(rows: &[Entry]) -> anyhow::Result<()> {
    outln!("{:<20}  {:<20}  EVENT", "APPLIED", "HAPPENED");
    outln!("  {:<40}  SUBJECT", "TYPE");
    for row in rows {
        let (applied, happened) = (moment::shown(row.applied_at), moment::shown(row.event_time));
        outln!("{applied:<20}  {happened:<20}  {}", row.event_id);
        let event_type = format!("{}@{}", row.event_type, row.schema_version);
        outln!("  {event_type:<40}  {}", row.subject.as_deref().unwrap_or("–"));
    }
    Ok(())
}
