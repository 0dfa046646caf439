//! Carrying out what was planned before, and going on with what was not finished.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use redrive::{Approval, Decision, Filter, Operation, Plan, Planned, Verb, audit};
use service::settings::Env;
use uuid::Uuid;

use super::{
    act::carry_out,
    desk::{Desk, Source, approval},
    pacing::Pacing,
    report,
};
use crate::Usage;

/// What both commands need to know.
#[derive(Debug, Args)]
struct Doing {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    pacing: Pacing,
    /// Why; put on record
    #[arg(long, value_name = "WORDS")]
    reason: String,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// A plan is carried out once. Every letter is decided anew: what was to be left stays, and what can't be replayed any
/// more is left as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq apply plan.json --reason 'reviewed' --ramp 1,5,20
  waypost dlq apply plan.json --reason 'reviewed'             again, after a crash: goes on where it was")]
pub struct Apply {
    /// As `--plan-out` has written it
    plan: PathBuf,
    #[command(flatten)]
    doing: Doing,
}

/// The journal has a row for each letter: what was sent is only deleted, what was planned is done.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq history                                         shows what is unfinished
  waypost dlq resume 0193b3a0-7c1e-7000-8000-000000000000 --reason 'after the crash'")]
pub struct Resume {
    /// The operation, as `dlq history` shows it
    operation: Uuid,
    #[command(flatten)]
    doing: Doing,
}

impl Apply {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = self.doing.consent(env)?;
        let shown = self.plan.display();
        let text = std::fs::read_to_string(&self.plan).with_context(|| format!("could not read {shown}"))?;
        let mut plan: Plan =
            serde_json::from_str(&text).map_err(|error| Usage(format!("{shown} is no plan of `dlq`: {error}")))?;
        let desk = self.doing.source.open(env).await?;
        if plan.format != redrive::PLAN_FORMAT {
            bail!(Usage(format!("{shown} has format {}, and should have {}", plan.format, redrive::PLAN_FORMAT)));
        }
        let here = desk.places.dead_letters.name();
        if plan.queue != here || plan.consumer != desk.consumer.name() {
            let Plan { consumer, queue, .. } = &plan;
            bail!(Usage(format!("{shown} is for the queue {queue} of {consumer}, and here is {here}")));
        }
        // After a crash the same command goes on.
        if !audit::history(&desk.pool, Some(plan.operation), 1).await?.is_empty() {
            return self.doing.resume(&desk, plan.operation, &approval).await;
        }
        let inbox = desk.inbox().await?;
        desk.take(async |snapshot, stop| {
            plan.find_again(snapshot, &inbox, None).await?;
            let operation = Operation::begin(&desk.pool, &desk.clock, &plan, snapshot, None, &approval).await?;
            let id = operation.id();
            let carried =
                carry_out(&desk, operation, snapshot, &plan, &[], &self.doing.pacing.pace(), &approval, stop).await?;
            report::outcome(id, &carried, self.doing.json)
        })
        .await
    }
}

impl Resume {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = self.doing.consent(env)?;
        let desk = self.doing.source.open(env).await?;
        self.doing.resume(&desk, self.operation, &approval).await
    }
}

impl Doing {
    /// Both commands act, and say so by their names.
    fn consent(&self, env: &Env) -> anyhow::Result<Approval> {
        approval(env, true, Some(&self.reason))?.context("there is an approval where somebody says to execute")
    }

    async fn resume(&self, desk: &Desk, id: Uuid, approval: &Approval) -> anyhow::Result<ExitCode> {
        let recorded = audit::history(&desk.pool, Some(id), 1).await?.pop();
        let recorded = recorded.with_context(|| format!("there is no operation {id}"))?;
        let verb = match recorded.verb.as_str() {
            "replay" => Verb::Replay,
            "discard" => Verb::Discard,
            "edit" => Verb::Edit,
            other => bail!("operation {id} is a {other}: there is nothing to resume, say it again"),
        };
        let dead_letters = &*desk.places.dead_letters;
        if recorded.queue != dead_letters.name() {
            bail!(Usage(format!("operation {id} is about {}, and here is {}", recorded.queue, dead_letters.name())));
        }
        let (operation, rows) = Operation::resume(&desk.pool, &desk.clock, id, dead_letters, approval).await?;
        let letters = rows.iter().map(|row| Planned {
            key: row.letter_key.clone(),
            id: row.letter_id.clone(),
            event_type: None,
            decision: if row.is_discard { Decision::Discard } else { Decision::Replay },
            letter: None,
        });
        let mut plan = Plan {
            format: redrive::PLAN_FORMAT,
            operation: id,
            verb,
            consumer: recorded.consumer,
            queue: recorded.queue,
            made_at: recorded.begun_at,
            filter: Filter::default(),
            discard_applied: false,
            letters: letters.collect(),
        };
        eprintln!("{} letters are left to do", rows.len());
        let inbox = desk.inbox().await?;
        desk.take(async |snapshot, stop| {
            plan.find_again(snapshot, &inbox, Some(id)).await?;
            let carried =
                carry_out(desk, operation, snapshot, &plan, &rows, &self.pacing.pace(), approval, stop).await?;
            report::outcome(id, &carried, self.json)
        })
        .await
    }
}
