use std::process::ExitCode;

use clap::Args;
use redrive::audit;
use serde_json::json;
use service::settings::{Env, all};
use uuid::Uuid;

use super::NOTHING_MATCHED;
use crate::{bus::patience, consumers::OneConsumer, moment, outln, table};

/// Nobody can change what is on record: the tables refuse it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq history                                         the newest operations, and which are unfinished
  waypost dlq history OPERATION                               what became of each letter
  waypost dlq history --letter ID                             everything that was done to one")]
pub struct History {
    /// Everything that is on record of this one
    #[arg(conflicts_with = "letter")]
    operation: Option<Uuid>,
    /// Everything that was done to this letter
    #[arg(long, value_name = "ID")]
    letter: Option<String>,
    #[command(flatten)]
    of: OneConsumer,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl History {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (database, patience) = all((self.of.get().database(env), patience(env)))?;
        database.wait_until_ready(patience).await?;
        let pool = database.connect_lazy("waypost-dlq");
        if let Some(letter) = &self.letter {
            let earlier = audit::of_letter(&pool, letter).await?;
            return self.letter(letter, &earlier);
        }
        let operations = audit::history(&pool, self.operation, i64::from(self.limit)).await?;
        let Some(id) = self.operation else {
            return self.operations(&operations);
        };
        let Some(operation) = operations.first() else {
            eprintln!("there is no operation {id}");
            return Ok(ExitCode::from(NOTHING_MATCHED));
        };
        let entries = audit::entries(&pool, id).await?;
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&json!({ "operation": operation, "entries": entries }))?);
            return Ok(ExitCode::SUCCESS);
        }
        outln!("{} of {} by {}: {}", operation.verb, operation.queue, operation.actor, operation.reason);
        outln!("begun {}, {}", moment::shown(operation.begun_at), operation.state);
        outln!("filter {}", operation.filter);
        let mut table =
            table::Table::new([table::left("AT"), table::left("LETTER"), table::left("OUTCOME"), table::cut("DETAIL")]);
        for entry in &entries {
            let letter = entry.letter_id.clone().unwrap_or_else(|| "–".to_owned());
            let detail = entry.detail.clone().unwrap_or_default();
            table.row([moment::shown(entry.at), letter, entry.outcome.clone(), detail]);
        }
        table.print()?;
        if operation.left > 0 {
            eprintln!("{} letters are left to do: `waypost dlq resume {id} --reason WORDS`", operation.left);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn letter(&self, letter: &str, earlier: &[audit::Earlier]) -> anyhow::Result<ExitCode> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(earlier)?);
        } else if !earlier.is_empty() {
            let mut table =
                table::Table::new([table::left("AT"), table::left("OUTCOME"), table::left("BY"), table::cut("REASON")]);
            for one in earlier {
                table.row([moment::shown(one.at), one.outcome.clone(), one.actor.clone(), one.reason.clone()]);
            }
            table.print()?;
        }
        if earlier.is_empty() {
            eprintln!("nothing is on record of `{letter}`");
            return Ok(ExitCode::from(NOTHING_MATCHED));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn operations(&self, operations: &[audit::Recorded]) -> anyhow::Result<ExitCode> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(operations)?);
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = table::Table::new([
            table::left("OPERATION"),
            table::left("VERB"),
            table::left("STATE"),
            table::left("BY"),
            table::cut("REASON"),
        ]);
        for one in operations {
            let cells =
                [one.operation.to_string(), one.verb.clone(), one.state.clone(), one.actor.clone(), one.reason.clone()];
            table.marked(cells, if one.left > 0 { table::Mark::Warn } else { table::Mark::Plain });
        }
        if !operations.is_empty() {
            table.print()?;
        }
        eprintln!("{}", table::counted(operations.len(), "operation"));
        Ok(ExitCode::SUCCESS)
    }
}
