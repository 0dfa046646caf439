use std::process::ExitCode;

use clap::Args;
use redrive::{READ_TOGETHER, Reason, Saw};
use serde::Serialize;
use service::settings::Env;
use time::OffsetDateTime;

use super::{NOTHING_MATCHED, desk::Source, matching::Matching};
use crate::{outln, table};

/// Those that died first are first. People see fifty, unless they say how many.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq browse --reason-contains timeout --since 2h
  waypost dlq browse --user 0193b3a0-7c1e-7000-8000-000000000000 --json")]
pub struct Browse {
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    source: Source,
    /// Print them as JSON, all that match
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    letters: Vec<Row>,
    saw: Saw,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    event_type: Option<String>,
    version: Option<u32>,
    copies: usize,
    #[serde(with = "time::serde::rfc3339::option")]
    died_at: Option<OffsetDateTime>,
    /// How often it was replayed before it failed again.
    replays: u32,
    failure: Reason,
}

const ROWS: usize = 50;

impl Browse {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let filter = self.matching.filter()?;
        let desk = self.source.open(env).await?;
        desk.look(async |snapshot| {
            let chosen = snapshot.choose(&filter, &desk.pool).await?;
            let found = chosen.len();
            let told = self.json || self.matching.is_all() || filter.limit.is_some();
            let shown = if told { found } else { found.min(ROWS) };
            let mut rows = Vec::new();
            for numbers in chosen[..shown].chunks(READ_TOGETHER) {
                let letters = snapshot.read(numbers, &desk.pool).await?;
                rows.extend(letters.iter().map(|letter| Row {
                    id: letter.id().to_owned(),
                    event_type: letter.event_type().map(str::to_owned),
                    version: letter.version(),
                    copies: letter.copies.len(),
                    died_at: letter.died_at(),
                    replays: letter.replayed().map_or(0, |stamp| stamp.count),
                    failure: letter.reason(),
                }));
            }
            let saw = snapshot.saw();
            if self.json {
                outln!("{}", serde_json::to_string_pretty(&Report { letters: rows, saw })?);
            } else {
                if !rows.is_empty() {
                    print(&rows)?;
                }
                if found > shown {
                    eprintln!("… and {} more; --all-matching or --limit shows them", found - shown);
                }
                eprintln!("{found} dead letters; {}", saw.sentence());
            }
            Ok(ExitCode::from(if found == 0 && !filter.is_empty() { NOTHING_MATCHED } else { 0 }))
        })
        .await
    }
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut table =
        table::Table::new([table::left("ID"), table::right("TRIED"), table::left("REASON"), table::cut("MESSAGE")]);
    for row in rows {
        let innermost = row.failure.causes.last().unwrap_or(&row.failure.message);
        let again = if row.replays > 0 { "[refailed] " } else { "" };
        let cells = [
            row.id.clone(),
            row.failure.attempts.map_or_else(|| "–".to_owned(), |attempts| attempts.to_string()),
            row.failure.name.clone(),
            format!("{again}{innermost}"),
        ];
        table.marked(cells, if row.replays > 0 { table::Mark::Warn } else { table::Mark::Plain });
    }
    Ok(table.print()?)
}
