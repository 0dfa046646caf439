use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use redrive::{Operation, READ_TOGETHER, Stored, Verb};
use serde::{Deserialize, Serialize};
use service::settings::Env;

use super::{
    desk::{Source, approval},
    matching::Matching,
};

/// Bodies and attributes as they are, personal data included: that is why a reason is asked for. One line for each message,
/// copies too; nothing is taken from the queue.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq export --group 3f2a --to letters.jsonl --reason 'to reproduce it'
  waypost dlq export --all-matching --reason 'backup' | gzip > letters.jsonl.gz")]
pub struct Export {
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    source: Source,
    /// Into this file, which must not exist; to stdout without it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Why; put on record
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedLine {
    pub id: String,
    pub queue: String,
    #[serde(flatten)]
    pub message: Stored,
}

impl Export {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let filter = self.matching.chosen()?;
        let approval = approval(env, true, Some(&self.reason))?.context("an export has a reason")?;
        let desk = self.source.open(env).await?;
        desk.look(async |snapshot| {
            let chosen = snapshot.choose(&filter, &desk.pool).await?;
            if chosen.is_empty() {
                return super::act::nothing_matched(snapshot, &filter, None);
            }
            let queue = desk.places.dead_letters.name();
            let whose = (desk.consumer.name(), queue);
            let counts = [("export".to_owned(), chosen.len())].into();
            let operation = Operation::begin_without_letters(
                &desk.pool,
                &desk.clock,
                Verb::Export,
                whose,
                &filter,
                counts,
                &approval,
            )
            .await?;
            let mut out: BufWriter<Box<dyn Write + Send>> = BufWriter::new(match &self.to {
                Some(path) => {
                    Box::new(File::create_new(path).with_context(|| format!("could not create {}", path.display()))?)
                }
                None => Box::new(io::stdout()),
            });
            let (mut messages, mut outcomes) = (0, Vec::new());
            for numbers in chosen.chunks(READ_TOGETHER) {
                for letter in snapshot.read(numbers, &desk.pool).await? {
                    let id = letter.id().to_owned();
                    outcomes.push((id.clone(), "exported", None));
                    for message in letter.copies {
                        let line = ExportedLine { id: id.clone(), queue: queue.to_owned(), message };
                        serde_json::to_writer(&mut out, &line)?;
                        out.write_all(b"\n")?;
                        messages += 1;
                    }
                }
            }
            out.flush()?;
            operation.tell(&outcomes).await?;
            let id = operation.id();
            operation.end("ended", None).await?;
            eprintln!(
                "{} letters in {messages} messages; {}; on record as {id}",
                outcomes.len(),
                snapshot.saw().sentence()
            );
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}
