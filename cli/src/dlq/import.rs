use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use messaging::OutgoingMessage;
use redrive::{Filter, Operation, Verb};
use serde::Serialize;
use service::settings::Env;

use super::{
    NOTHING_MATCHED,
    desk::{Consent, Source},
    export::ExportedLine,
};
use crate::{FAILED, Usage, outln};

/// What `dlq export` has written, into the dead-letter queue of a consumer: bodies and attributes are the same, ids of
/// messages and the times of their sending are new.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq import letters.jsonl                            whether every line can be read
  waypost dlq import letters.jsonl --execute --reason 'to reproduce it here'")]
pub struct Import {
    /// The file; stdin without it
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    consent: Consent,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    executed: bool,
    messages: usize,
    failed: Vec<String>,
}

const SENT_TOGETHER: usize = 100;

impl Import {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = self.consent.approval(env)?;
        let lines = self.lines()?;
        if lines.is_empty() {
            eprintln!("there is nothing to import");
            return Ok(ExitCode::from(NOTHING_MATCHED));
        }
        let messages = lines.len();
        let desk = self.source.open(env).await?;
        let queue = &*desk.places.dead_letters;
        let Some(approval) = approval else {
            self.print(&Report { executed: false, messages, failed: Vec::new() })?;
            eprintln!("{messages} messages would go to {}; --execute with --reason does it", queue.name());
            return Ok(ExitCode::SUCCESS);
        };
        let operation = Operation::begin_without_letters(
            &desk.pool,
            &desk.clock,
            Verb::Import,
            (desk.consumer.name(), queue.name()),
            &Filter::default(),
            [("import".to_owned(), messages)].into(),
            &approval,
        )
        .await?;
        let mut failed = Vec::new();
        for lines in lines.chunks(SENT_TOGETHER) {
            let messages: Vec<OutgoingMessage> = lines.iter().map(|line| line.message.to_outgoing()).collect();
            let mut outcomes = Vec::new();
            for (line, sent) in lines.iter().zip(queue.send(&messages).await) {
                let error = sent.err().map(|error| error.to_string());
                if let Some(error) = &error {
                    eprintln!("{} was not sent: {error}", line.id);
                    failed.push(line.id.clone());
                }
                let outcome = if error.is_some() { "failed" } else { "imported" };
                outcomes.push((line.id.clone(), outcome, error));
            }
            operation.tell(&outcomes).await?;
        }
        let id = operation.id();
        operation.end("ended", None).await?;
        let complete = failed.is_empty();
        let sent = messages - failed.len();
        self.print(&Report { executed: true, messages: sent, failed })?;
        eprintln!("{sent} messages are in {}; on record as {id}", queue.name());
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(report)?);
        }
        Ok(())
    }

    /// All of them, before the first is sent: a file that is broken at its end imports nothing.
    fn lines(&self) -> anyhow::Result<Vec<ExportedLine>> {
        let (shown, reader): (String, Box<dyn BufRead>) = match &self.file {
            Some(path) => {
                let shown = path.display().to_string();
                let file = File::open(path).with_context(|| format!("could not read {shown}"))?;
                (shown, Box::new(BufReader::new(file)))
            }
            None => ("stdin".to_owned(), Box::new(BufReader::new(io::stdin()))),
        };
        let mut lines = Vec::new();
        for (at, line) in reader.lines().enumerate() {
            let line = line.with_context(|| format!("could not read {shown}"))?;
            if line.trim().is_empty() {
                continue;
            }
            // Where it is wrong, not what it holds.
            let read = serde_json::from_str(&line).map_err(|error| {
                Usage(format!("{shown}, line {}, is none of an export: column {}", at + 1, error.column()))
            })?;
            lines.push(read);
        }
        Ok(lines)
    }
}
