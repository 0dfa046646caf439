use std::process::ExitCode;

use clap::Args;
use redrive::{Filter, Operation, Verb, archive};
use serde::Serialize;
use service::settings::Env;
use uuid::Uuid;

use super::{
    NOTHING_MATCHED,
    desk::{Consent, Source},
};
use crate::{FAILED, outln, table};

/// To the dead-letter queue they lay in. Archives are kept for 28 days.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq restore OPERATION                               what is in the archive
  waypost dlq restore OPERATION --id ID --execute --reason 'that one was real'")]
pub struct Restore {
    /// The operation that discarded, as `dlq history` shows it
    operation: Uuid,
    /// Only these letters; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    consent: Consent,
    /// Print the plan or the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    executed: bool,
    operation: Option<Uuid>,
    letters: Vec<&'a str>,
    failed: Vec<&'a str>,
}

impl Restore {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = self.consent.approval(env)?;
        let desk = self.source.open(env).await?;
        let letters = archive::find(&desk.pool, self.operation, &self.ids).await?;
        if letters.is_empty() {
            eprintln!("the archive has nothing of {} that was not restored or has expired", self.operation);
            return Ok(ExitCode::from(NOTHING_MATCHED));
        }
        let Some(approval) = approval else {
            if self.json {
                let letters = letters.iter().map(|letter| letter.letter_id.as_str()).collect();
                let report = Report { executed: false, operation: None, letters, failed: Vec::new() };
                outln!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                let mut table = table::Table::new([table::left("ID"), table::left("DISCARDED")]);
                for letter in &letters {
                    table.row([letter.letter_id.clone(), crate::moment::shown(letter.archived_at)]);
                }
                table.print()?;
            }
            eprintln!("{} letters would be restored; --execute with --reason does it", letters.len());
            return Ok(ExitCode::SUCCESS);
        };
        let filter = Filter { ids: self.ids.iter().cloned().collect(), ..Filter::default() };
        let counts = [("restore".to_owned(), letters.len())].into();
        let queue = &*desk.places.dead_letters;
        let whose = (desk.consumer.name(), queue.name());
        let operation =
            Operation::begin_without_letters(&desk.pool, &desk.clock, Verb::Restore, whose, &filter, counts, &approval)
                .await?;
        let id = operation.id();
        let failed = operation.restore(queue, &letters).await?;
        operation.end("ended", Some(&format!("of {}", self.operation))).await?;
        for (letter, error) in &failed {
            eprintln!("{letter} was not sent: {error}");
        }
        let failed: Vec<_> = failed.iter().map(|(letter, _)| letter.as_str()).collect();
        let restored = letters.iter().map(|letter| letter.letter_id.as_str()).filter(|id| !failed.contains(id));
        let report = Report { executed: true, operation: Some(id), letters: restored.collect(), failed };
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&report)?);
        }
        eprintln!("{} letters are back in {}; on record as {id}", report.letters.len(), queue.name());
        Ok(if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}
