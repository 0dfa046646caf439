//! Having SQS move a whole queue by itself.
//!
//! It is the fastest way, and a blind one: nothing is checked, nothing is stamped, and SQS tells roughly how far it is. Every
//! moved message is a new message with a new id and a new age
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>).

use std::{process::ExitCode, time::Duration};

use messaging::MoveState;
use redrive::{Filter, Operation, Verb};
use serde::Serialize;
use service::settings::Env;
use uuid::Uuid;

use super::{INTERRUPTED, NOTHING_MATCHED, act::Act, desk::until_somebody_stops};
use crate::{FAILED, outln, progress::bar};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    executed: bool,
    operation: Option<Uuid>,
    messages: u64,
    /// `planned`, or what SQS says of the task in the end.
    state: &'static str,
}

const LOOK_EVERY: Duration = Duration::from_millis(500);

pub async fn replay(act: &Act, env: &Env) -> anyhow::Result<ExitCode> {
    let rate = act.pacing.native_rate()?;
    let approval = act.consent.approval(env)?;
    let desk = act.source.open(env).await?;
    let (from, to) = (desk.places.dead_letters.name(), desk.places.queue.name());
    let waiting = desk.places.dead_letters.counts().await?.visible;
    if waiting == 0 {
        eprintln!("there are no dead letters in {from}");
        return Ok(ExitCode::from(NOTHING_MATCHED));
    }
    let Some(approval) = approval else {
        print(act, &Report { executed: false, operation: None, messages: waiting, state: "planned" })?;
        eprintln!("SQS would move about {waiting} messages from {from} to {to}; --execute with --reason does it");
        return Ok(ExitCode::SUCCESS);
    };
    let whose = (desk.consumer.name(), from);
    let counts = [("native".to_owned(), waiting as usize)].into();
    let filter = Filter::default();
    let operation =
        Operation::begin_without_letters(&desk.pool, &desk.clock, Verb::Native, whose, &filter, counts, &approval)
            .await?;
    let id = operation.id();
    let stop = until_somebody_stops();
    let task = desk.bus.start_move(from, to, rate).await?;
    let bar = bar("moved by SQS", waiting as usize);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let (mut asked, mut moved, mut state) = (false, 0, MoveState::Running);
    while state == MoveState::Running {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled(), if !asked => {
                asked = true;
                desk.bus.cancel_move(&task).await?;
            }
        }
        if let Some(progress) = desk.bus.move_progress(from).await? {
            (moved, state) = (progress.moved, progress.state);
            bar.set_position(moved);
        }
    }
    bar.finish_and_clear();
    let state = state.as_str();
    let how = if asked { "interrupted" } else { "ended" };
    operation.end(how, Some(&format!("{state}: about {moved} moved"))).await?;
    print(act, &Report { executed: true, operation: Some(id), messages: moved, state })?;
    eprintln!("{state}: about {moved} messages moved to {to}; on record as {id}");
    Ok(match (asked, state) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, "completed") => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    })
}

fn print(act: &Act, report: &Report) -> anyhow::Result<()> {
    if act.json {
        outln!("{}", serde_json::to_string_pretty(report)?);
    }
    Ok(())
}
