use std::process::ExitCode;

use clap::Args;
use redrive::{Groups, READ_TOGETHER};
use serde::Serialize;
use service::settings::Env;

use super::{NOTHING_MATCHED, desk::Source, matching::Matching};
use crate::{moment, outln, table};

/// Letters with one fingerprint have one fault, whatever ids and values it speaks of.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq groups                                          the largest fault first
  waypost dlq groups --since 1h --type user.created
  waypost dlq replay --group 3f2a                             what a replay of one would do")]
pub struct ShowGroups {
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    source: Source,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    groups: Vec<redrive::Group>,
    saw: redrive::Saw,
}

impl ShowGroups {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let filter = self.matching.filter()?;
        let desk = self.source.open(env).await?;
        desk.look(async |snapshot| {
            let mut groups = Groups::default();
            for numbers in snapshot.choose(&filter, &desk.pool).await?.chunks(READ_TOGETHER) {
                snapshot.read(numbers, &desk.pool).await?.iter().for_each(|letter| groups.add(letter));
            }
            let groups = groups.sorted();
            let saw = snapshot.saw();
            let code = if groups.is_empty() && !filter.is_empty() { NOTHING_MATCHED } else { 0 };
            if self.json {
                outln!("{}", serde_json::to_string_pretty(&Report { groups, saw })?);
                return Ok(ExitCode::from(code));
            }
            let mut table = table::Table::new([
                table::left("GROUP"),
                table::right("LETTERS"),
                table::left("LAST"),
                table::left("REASON"),
                table::cut("MESSAGE"),
            ]);
            for group in &groups {
                let again = match group.refailed {
                    0 => String::new(),
                    refailed => format!("[{refailed} refailed] "),
                };
                let cells = [
                    group.fingerprint.clone(),
                    group.count.to_string(),
                    group.last_seen.map_or_else(|| "–".to_owned(), |at| moment::shown(at)[5..16].replace('T', " ")),
                    group.reason.clone(),
                    format!("{again}{}", group.message),
                ];
                table.marked(cells, if group.refailed > 0 { table::Mark::Warn } else { table::Mark::Plain });
            }
            if !groups.is_empty() {
                table.print()?;
            }
            let letters: usize = groups.iter().map(|group| group.count).sum();
            let (letters, groups) = (table::counted(letters, "letter"), table::counted(groups.len(), "group"));
            eprintln!("{letters} in {groups}; {}", saw.sentence());
            Ok(ExitCode::from(code))
        })
        .await
    }
}
