//! Plans and outcomes, told to people and to programs.

use std::{collections::BTreeMap, process::ExitCode};

use redrive::{Carried, Decision, Leave, Plan, Planned, Saw};
use serde::Serialize;
use uuid::Uuid;

use super::{INTERRUPTED, STOPPED};
use crate::{FAILED, outln, table};

/// A plan, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanReport<'a> {
    executed: bool,
    #[serde(flatten)]
    plan: &'a Plan,
    counts: BTreeMap<String, usize>,
    saw: Saw,
}

/// What came of an operation, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    executed: bool,
    operation: Uuid,
    /// `ended`, `interrupted` or `stopped`.
    how: &'a str,
    why: Option<&'a str>,
    counts: BTreeMap<&'a str, usize>,
    applied: usize,
    refailed: &'a [String],
    letters: &'a [redrive::Done],
}

/// Rows that people are shown; programs get all of them.
const ROWS: usize = 50;

pub fn plan(plan: &Plan, saw: Saw, json: bool) -> anyhow::Result<()> {
    if json {
        let report = PlanReport { executed: false, plan, counts: plan.counts(), saw };
        outln!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let mut table = table::Table::new([table::left("ID"), table::left("WOULD BE"), table::cut("BECAUSE")]);
    for planned in plan.letters.iter().take(ROWS) {
        let (what, why) = words(planned);
        let mark =
            if matches!(planned.decision, Decision::Leave { .. }) { table::Mark::Dim } else { table::Mark::Plain };
        table.marked([planned.id.clone(), what.to_owned(), why], mark);
    }
    table.print()?;
    if plan.letters.len() > ROWS {
        eprintln!("… and {} more; --json has all of them", plan.letters.len() - ROWS);
    }
    let counts: Vec<_> = plan.counts().into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    eprintln!("{}; {}", counts.join(", "), saw.sentence());
    Ok(())
}

fn words(planned: &Planned) -> (&'static str, String) {
    match &planned.decision {
        Decision::Replay => ("replayed", "a worker would take it".to_owned()),
        Decision::Discard => ("discarded", String::new()),
        Decision::Leave { why: Leave::AlreadyApplied { handler, at } } => {
            ("left", format!("{handler} applied it at {}: a replay would do nothing", crate::moment::shown(*at)))
        }
        Decision::Leave { why: Leave::WouldFail { reason, detail } } => {
            ("left", format!("it would fail again as {reason}: {detail}"))
        }
        Decision::Leave { why: Leave::InProgress { operation, actor, runs, .. } } => match runs {
            true => ("left", format!("{actor} is at it with {operation}")),
            false => ("left", format!("{operation} by {actor} was killed: `waypost dlq resume {operation}`")),
        },
    }
}

/// Prints what came of an operation, and answers the exit code that says so.
pub fn outcome(operation: Uuid, carried: &Carried, json: bool) -> anyhow::Result<ExitCode> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for done in &carried.letters {
        *counts.entry(done.outcome).or_default() += 1;
    }
    if json {
        let report = Outcome {
            executed: true,
            operation,
            how: carried.how,
            why: carried.why.as_deref(),
            counts: counts.clone(),
            applied: carried.applied,
            refailed: &carried.refailed,
            letters: &carried.letters,
        };
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        let mut table = table::Table::new([table::left("ID"), table::left("WAS"), table::cut("BECAUSE")]);
        let refused = |done: &&redrive::Done| !matches!(done.outcome, "replayed" | "discarded");
        // What went well is a number; what didn't has a line.
        for done in carried.letters.iter().filter(refused).take(ROWS) {
            let cells = [done.id.clone(), done.outcome.to_owned(), done.detail.clone().unwrap_or_default()];
            table.marked(cells, table::Mark::Warn);
        }
        for id in carried.refailed.iter().take(ROWS) {
            table.marked(
                [id.clone(), "refailed".to_owned(), "it is back among the dead letters".to_owned()],
                table::Mark::Warn,
            );
        }
        if !table.is_empty() {
            table.print()?;
        }
        let told: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let told = if told.is_empty() { "nothing was done".to_owned() } else { told.join(", ") };
        let seen = match (carried.applied, carried.refailed.len()) {
            (0, 0) => String::new(),
            (applied, refailed) => format!("; {applied} seen applied, {refailed} failed again"),
        };
        eprintln!("{told}{seen}");
        if let Some(why) = &carried.why {
            eprintln!("{} before the end: {why}", carried.how);
        }
    }
    eprintln!("on record as {operation}: `waypost dlq history {operation}`");
    let incomplete = ["failed", "kept", "missing"].iter().any(|outcome| counts.contains_key(outcome));
    Ok(match carried.how {
        "interrupted" => ExitCode::from(INTERRUPTED),
        "stopped" => ExitCode::from(STOPPED),
        _ if incomplete => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}
