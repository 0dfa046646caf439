//! One letter, changed and replayed.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;
use redrive::{
    DeadLetter, Filter, Operation, Pace, Plan, Snapshot, Verb,
    edit::{Edit, EditError},
};
use serde::Serialize;
use service::settings::Env;
use tokio::process::Command;

use super::{
    Interrupted, NOTHING_MATCHED,
    act::carry_out,
    desk::{Consent, Source},
    report,
};
use crate::{Usage, outln};

/// The event keeps its id, and the original is kept. What a worker would reject is refused here. While you edit, the event
/// with its personal data lies in a file that only you can read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq edit ID                                         opens $VISUAL or $EDITOR, says what would be sent
  waypost dlq edit ID --execute --reason 'a typo of the importer'
  waypost dlq edit ID --patch fix.json --execute --reason …   a JSON Patch (RFC 6902) instead of an editor")]
pub struct EditOne {
    /// The event's id
    id: String,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    consent: Consent,
    /// Change it by this JSON Patch (RFC 6902), without an editor
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
    /// Print what would be changed, or the outcome, as JSON
    #[arg(long)]
    json: bool,
}

/// As `--json` prints it. Paths only: the values are the payload's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    executed: bool,
    id: &'a str,
    changes: Vec<String>,
}

impl EditOne {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let approval = self.consent.approval(env)?;
        let desk = self.source.open(env).await?;
        let inbox = desk.inbox().await?;
        desk.take(async |snapshot, stop| {
            let filter = Filter { ids: [self.id.clone()].into(), ..Filter::default() };
            let now = desk.clock.now();
            let queue = desk.places.dead_letters.name();
            let mut plan = Plan::make(snapshot, queue, &inbox, Verb::Edit, filter, false, now).await?;
            let Some(planned) = plan.letters.first_mut() else {
                eprintln!("no dead letter `{}` among {}; {}", self.id, snapshot.letters(), snapshot.saw().sentence());
                return Ok(ExitCode::from(NOTHING_MATCHED));
            };
            let letter = find(snapshot, planned.letter, &desk.pool).await?;
            // What would fail as it is may be what is to be mended; what is applied or held by somebody is left.
            match &planned.decision {
                redrive::Decision::Leave { why: redrive::Leave::WouldFail { .. } } => {
                    planned.decision = redrive::Decision::Replay;
                }
                redrive::Decision::Leave { .. } => {
                    report::plan(&plan, snapshot.saw(), self.json)?;
                    return Ok(ExitCode::from(crate::FAILED));
                }
                _ => {}
            }
            let edited = tokio::select! {
                biased;
                // An editor that has the terminal to itself sees Ctrl-C as any key; this is for one that doesn't.
                () = stop.cancelled() => return Err(Interrupted.into()),
                edited = self.edited(&letter, env) => edited?,
            };
            let edit = match Edit::of(&letter, &edited, &inbox) {
                Ok(edit) => edit,
                Err(EditError::Unchanged) => {
                    eprintln!("nothing was changed, so nothing was done");
                    return Ok(ExitCode::SUCCESS);
                }
                Err(refused) => return Err(anyhow::Error::from(refused).context("the edit was refused")),
            };
            let changes = edit.changes();
            let Some(approval) = &approval else {
                if self.json {
                    let report = Report { executed: false, id: &self.id, changes };
                    outln!("{}", serde_json::to_string_pretty(&report)?);
                } else {
                    changes.iter().try_for_each(|change| anyhow::Ok(outln!("{change}")))?;
                }
                eprintln!("a worker would take it; nothing was done; --execute with --reason does it");
                return Ok(ExitCode::SUCCESS);
            };
            let operation =
                Operation::begin(&desk.pool, &desk.clock, &plan, snapshot, Some((&letter, &edit)), approval).await?;
            let id = operation.id();
            operation.tell(&[(self.id.clone(), "edited", Some(changes.join(", ")))]).await?;
            let carried = carry_out(&desk, operation, snapshot, &plan, &[], &Pace::default(), approval, stop).await?;
            report::outcome(id, &carried, self.json)
        })
        .await
    }

    async fn edited(&self, letter: &DeadLetter, env: &Env) -> anyhow::Result<String> {
        let before = Edit::to_edit(letter)?;
        if let Some(path) = &self.patch {
            let shown = path.display();
            let text = std::fs::read_to_string(path).with_context(|| format!("could not read {shown}"))?;
            let wrong = |error: String| Usage(format!("{shown} is no JSON Patch for this letter: {error}"));
            let patch: json_patch::Patch = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            let mut value = serde_json::from_str(&before)?;
            json_patch::patch(&mut value, &patch).map_err(|error| wrong(error.to_string()))?;
            return Ok(value.to_string());
        }
        let editor = match env.optional("VISUAL")? {
            Some(editor) => Some(editor),
            None => env.optional("EDITOR")?,
        };
        let Some(editor) = editor else {
            bail!(Usage("neither VISUAL nor EDITOR is set: set one, or give a --patch".to_owned()));
        };
        // Readable for its owner only, and removed with the end of this function.
        let mut file = tempfile::Builder::new().prefix("waypost-edit-").suffix(".json").tempfile()?;
        file.write_all(before.as_bytes())?;
        file.flush()?;
        let status = Command::new("sh")
            .args(["-c", "exec $0 \"$1\"", editor])
            .arg(file.path())
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("could not run `{editor}`"))?;
        ensure!(status.success(), "`{editor}` ended with {status}: nothing was done");
        std::fs::read_to_string(file.path()).context("could not read what was edited")
    }
}

async fn find(snapshot: &Snapshot, number: Option<u32>, pool: &sqlx::PgPool) -> anyhow::Result<DeadLetter> {
    let number = number.context("a letter of this snapshot has a number")?;
    snapshot.read(&[number], pool).await?.pop().context("a letter of this snapshot can be read")
}
