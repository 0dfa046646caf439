//! Retry: failed rows become pending again, and a relay is told. What it publishes is what was written.

use std::{collections::HashSet, process::ExitCode};

use anyhow::Context;
use clap::Args;
use outbox::{RowState, Unpublished};
use serde::Serialize;
use service::{ErrorChain, settings::Env};
use sqlx::PgPool;
use uuid::Uuid;

use super::Source;
use crate::outln;

const EXAMPLES: &str = "\
Examples:
  waypost outbox retry 019ab6a1-7c3e-7d10-8f2b-0123456789ab
  waypost outbox retry 019ab6a1-7c3e-7d10-8f2b-0123456789ab --execute
  waypost outbox retry --all-failed --execute";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Retry {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    source: Source,
    /// Do it; without this, say what would be done
    #[arg(long)]
    execute: bool,
    /// Print the plan or the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The events to publish again
    #[arg(value_name = "EVENT_ID")]
    event_ids: Vec<Uuid>,
    /// Every failed row
    #[arg(long)]
    all_failed: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    executed: bool,
    retried: Vec<Uuid>,
    not_failed: Vec<NotFailed>,
    not_found: Vec<Uuid>,
}

/// A row that there is nothing to do about.
#[derive(Debug, Serialize)]
struct NotFailed {
    id: Uuid,
    state: &'static str,
}

impl Retry {
    /// 1 where an event that was asked for has no failed row.
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let pool = self.source.connect(env).await?;
        let retried = match self.execute {
            true => self.retry(&pool).await,
            false => self.would_retry(&pool).await,
        };
        let outcome =
            self.account_for(&pool, retried.context("could not retry")?).await.context("could not read the outbox")?;
        self.print(&outcome)?;
        let incomplete = !outcome.not_failed.is_empty() || !outcome.not_found.is_empty();
        Ok(if incomplete { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    async fn retry(&self, pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
        let chosen = (!self.which.all_failed).then_some(self.which.event_ids.as_slice());
        let retried = outbox::retry_failed(pool, chosen).await?;
        if !retried.is_empty()
            && let Err(error) = outbox::announce_once(pool).await
        {
            eprintln!("relays were not told, and find them by scanning: {}", ErrorChain(&error));
        }
        Ok(retried)
    }

    async fn would_retry(&self, pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
        let rows = match self.which.all_failed {
            true => outbox::unpublished(pool, Unpublished::Failed, None, u32::MAX).await?,
            false => outbox::rows_of(pool, &self.which.event_ids).await?,
        };
        Ok(rows.iter().filter(|row| row.state() == RowState::Failed).map(|row| row.event_id).collect())
    }

    /// Says of everything else that was asked for what it is.
    async fn account_for(&self, pool: &PgPool, retried: Vec<Uuid>) -> Result<Outcome, sqlx::Error> {
        let mut seen: HashSet<Uuid> = retried.iter().copied().collect();
        let rest: Vec<Uuid> = self.which.event_ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut outcome = Outcome { executed: self.execute, retried, ..Outcome::default() };
        let rows = outbox::rows_of(pool, &rest).await?;
        for id in rest {
            match rows.iter().find(|row| row.event_id == id) {
                Some(row) => outcome.not_failed.push(NotFailed { id, state: row.state().as_str() }),
                None => outcome.not_found.push(id),
            }
        }
        Ok(outcome)
    }

    fn print(&self, outcome: &Outcome) -> anyhow::Result<()> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(outcome)?);
            return Ok(());
        }
        let verb = if outcome.executed { "pending again" } else { "would be pending again" };
        for id in &outcome.retried {
            outln!("{verb}: {id}");
        }
        for NotFailed { id, state } in &outcome.not_failed {
            outln!("not failed but {state}, left alone: {id}");
        }
        for id in &outcome.not_found {
            outln!("not found: {id}");
        }
        let rows = match outcome.retried.len() {
            1 => "1 row".to_owned(),
            count => format!("{count} rows"),
        };
        match outcome.executed {
            _ if outcome.retried.is_empty() => eprintln!("nothing to retry"),
            true => eprintln!("{rows} pending again; a relay takes them within a second"),
            false => eprintln!("{rows} would be pending again; --execute does it"),
        }
        Ok(())
    }
}
