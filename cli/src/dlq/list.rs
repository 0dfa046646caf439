use std::process::ExitCode;

use clap::Args;
use service::settings::Env;

use super::{
    Source, connect,
    letters::{DeadLetter, Letters},
};
use crate::outln;

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    source: Source,
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let consumer = self.source.consumer()?;
        let (bus, pool) = connect(env).await?;
        let read = Letters::read(&*bus, &pool, consumer.name()).await?;
        let printed = print(&read.letters, self.json);
        read.hand_back().await;
        printed?;
        if read.letters.is_empty() {
            eprintln!("no dead letters");
        } else if !self.json {
            eprintln!("{} dead letters; `waypost dlq show <ID>` tells more", read.letters.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(letters: &[DeadLetter], json: bool) -> anyhow::Result<()> {
    if json {
        let rows: Vec<_> = letters.iter().map(row).collect();
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if letters.is_empty() {
        return Ok(());
    }
    outln!("{:<36}  {:<16}  {:<20}  {:>8}  MESSAGE", "ID", "TYPE", "REASON", "ATTEMPTS");
    for letter in letters {
        let reason = letter.reason();
        let attempts = reason.attempts.map_or_else(|| "–".to_owned(), |attempts| attempts.to_string());
        let innermost = reason.causes.last().unwrap_or(&reason.message);
        let event_type = letter.event_type().unwrap_or("–");
        outln!("{:<36}  {event_type:<16}  {:<20}  {attempts:>8}  {innermost}", letter.id(), reason.name);
    }
    Ok(())
}

fn row(letter: &DeadLetter) -> serde_json::Value {
    serde_json::json!({
        "id": letter.id(),
        "eventType": letter.event_type(),
        "copies": letter.copies.len(),
        "failure": letter.reason(),
    })
}
