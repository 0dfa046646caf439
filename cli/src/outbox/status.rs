use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use outbox::Backlog;
use serde::Serialize;
use service::settings::Env;

use super::Source;
use crate::outln;

const EXAMPLES: &str = "\
Examples:
  waypost outbox status
  waypost outbox status --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    #[command(flatten)]
    source: Source,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    service: &'static str,
    due: i64,
    leased: i64,
    delayed: i64,
    backing_off: i64,
    failed: i64,
    published_last_hour: i64,
    /// `null` where nothing waits but what is delayed.
    oldest_due_seconds: Option<f64>,
}

impl Status {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let pool = self.source.connect(env).await?;
        let backlog = outbox::backlog(&pool).await.context("could not read the outbox")?;
        if self.json {
            let shown = shown(self.source.service.name, &backlog);
            outln!("{}", serde_json::to_string_pretty(&shown)?);
        } else {
            print(&backlog)?;
        }
        if backlog.failed > 0 {
            eprintln!("`waypost outbox list --failed` tells why they failed");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(service: &'static str, backlog: &Backlog) -> Shown {
    Shown {
        service,
        due: backlog.due,
        leased: backlog.leased,
        delayed: backlog.delayed,
        backing_off: backlog.backing_off,
        failed: backlog.failed,
        published_last_hour: backlog.published_last_hour,
        oldest_due_seconds: backlog.oldest_due_seconds,
    }
}

fn print(backlog: &Backlog) -> anyhow::Result<()> {
    let oldest = backlog.oldest_due_seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0} s"));
    for (what, count, meaning) in [
        ("due", backlog.due.to_string(), "a relay may take them now"),
        ("leased", backlog.leased.to_string(), "in the hands of a relay"),
        ("backing off", backlog.backing_off.to_string(), "publishing failed, and is tried again later"),
        ("oldest of these", oldest, "since it could first have been published"),
        ("delayed", backlog.delayed.to_string(), "written to be published later"),
        ("failed", backlog.failed.to_string(), "the bus refused them; nobody tries again"),
        ("published", backlog.published_last_hour.to_string(), "within the last hour"),
    ] {
        outln!("{what:<15}  {count:>10}  {meaning}");
    }
    Ok(())
}
