//! `waypost schema`: what a change of an event would break.

mod check;
mod diff;
mod released;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use contracts::{Gap, Mode};
use serde_json::Value;

use crate::outln;

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Fail where events and their readers don't fit: all released versions with the newest, or with what was released
    Check(check::Check),
    /// Say what differs between two schemas, and what readers of one make of the other's events
    Diff(diff::Diff),
}

impl SchemaCommand {
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(check) => check.execute().await,
            Self::Diff(diff) => diff.execute().await,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// Readers of the newer version read events of older ones
    Backward,
    /// Readers of older versions read events of the newer one
    Forward,
    /// Both
    Full,
}

impl From<Direction> for Mode {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Backward => Self::Backward,
            Direction::Forward => Self::Forward,
            Direction::Full => Self::Full,
        }
    }
}

/// `what`, the reason, and the document that shows it.
fn print_gap(what: &str, gap: &Gap, affected: &[String]) -> anyhow::Result<()> {
    let place = if gap.pointer.is_empty() { "the payload" } else { &gap.pointer };
    outln!("{what}: {place} ({})", gap.rule);
    outln!("    {}", gap.reason);
    for line in affected {
        outln!("    {line}");
    }
    match &gap.witness {
        Some(document) => outln!("    for example {}", shortened(document)),
        None => outln!("    no document was found that shows it, and none could be ruled out"),
    }
    Ok(())
}

/// Texts of thousands of characters are told by their length; `--json` has them whole.
fn shortened(document: &Value) -> Value {
    const LONGEST: usize = 80;
    match document {
        Value::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(20).collect();
            format!("{start}… ({} characters)", text.chars().count()).into()
        }
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
        Value::Array(items) => items.iter().map(shortened).collect(),
        other => other.clone(),
    }
}
