//! What replaying and discarding have in common: a plan, then nothing; or a plan, then an operation.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use redrive::{Approval, Carried, Filter, Operation, Pace, Plan, Snapshot, Verb, journal};
use service::settings::Env;
use tokio_util::sync::CancellationToken;

use super::{
    NOTHING_MATCHED,
    desk::{Consent, Desk, Source},
    matching::Matching,
    pacing::Pacing,
    report,
};
use crate::progress::bar;

#[derive(Debug, Args)]
pub struct Act {
    #[command(flatten)]
    pub matching: Matching,
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub consent: Consent,
    #[command(flatten)]
    pub pacing: Pacing,
    /// Write the plan to this file, for `dlq apply`
    #[arg(long, value_name = "FILE", conflicts_with = "execute")]
    pub plan_out: Option<PathBuf>,
    /// Print the plan or the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

impl Act {
    pub async fn execute(self, env: &Env, verb: Verb, discard_applied: bool) -> anyhow::Result<ExitCode> {
        let filter = self.matching.chosen()?;
        let approval = self.consent.approval(env)?;
        let desk = self.source.open(env).await?;
        let inbox = desk.inbox().await?;
        desk.take(async |snapshot, stop| {
            let now = desk.clock.now();
            let queue = desk.places.dead_letters.name();
            let plan = Plan::make(snapshot, queue, &inbox, verb, filter, discard_applied, now).await?;
            if plan.letters.is_empty() {
                return nothing_matched(snapshot, &plan.filter, self.json.then_some(&plan));
            }
            if approval.is_some() || self.plan_out.is_some() {
                self.matching.allows(plan.letters.len())?;
            }
            let Some(approval) = approval else {
                report::plan(&plan, snapshot.saw(), self.json)?;
                self.keep(&plan)?;
                return Ok(ExitCode::SUCCESS);
            };
            let operation = Operation::begin(&desk.pool, &desk.clock, &plan, snapshot, None, &approval).await?;
            let id = operation.id();
            let carried =
                carry_out(&desk, operation, snapshot, &plan, &[], &self.pacing.pace(), &approval, stop).await?;
            report::outcome(id, &carried, self.json)
        })
        .await
    }

    fn keep(&self, plan: &Plan) -> anyhow::Result<()> {
        let Some(path) = &self.plan_out else {
            eprintln!("nothing was done; --execute with --reason does it");
            return Ok(());
        };
        let text = serde_json::to_string_pretty(plan)?;
        std::fs::write(path, text).with_context(|| format!("could not write the plan to {}", path.display()))?;
        eprintln!("nothing was done; `waypost dlq apply {} --reason WORDS` does it", path.display());
        Ok(())
    }
}

pub fn nothing_matched(snapshot: &Snapshot, filter: &Filter, json: Option<&Plan>) -> anyhow::Result<ExitCode> {
    let saw = snapshot.saw();
    if let Some(plan) = json {
        report::plan(plan, saw, true)?;
    }
    let asked = serde_json::to_string(filter).unwrap_or_default();
    match saw.letters {
        0 => eprintln!("there are no dead letters; {}", saw.sentence()),
        letters => eprintln!("none of {letters} dead letters matches {asked}; {}", saw.sentence()),
    }
    Ok(ExitCode::from(NOTHING_MATCHED))
}

/// Carries out, with a bar, and puts the end on record.
#[expect(clippy::too_many_arguments, reason = "what `Operation::carry_out` takes")]
pub async fn carry_out(
    desk: &Desk,
    operation: Operation,
    snapshot: &Snapshot,
    plan: &Plan,
    before: &[journal::Row],
    pace: &Pace,
    approval: &Approval,
    stop: &CancellationToken,
) -> anyhow::Result<Carried> {
    let bar = bar("letters", plan.letters.len());
    let told = |progress: redrive::Progress| {
        bar.set_position(progress.done as u64);
        if progress.refailed > 0 {
            bar.set_message("letters (some failed again)");
        }
    };
    let carried = operation.carry_out(&desk.places, snapshot, plan, before, pace, approval, stop, told).await;
    bar.finish_and_clear();
    let carried = carried.with_context(|| {
        format!("operation {id} is not at its end: `waypost dlq resume {id}` goes on with it", id = operation.id())
    })?;
    operation.end(carried.how, carried.why.as_deref()).await?;
    Ok(carried)
}
