//! `waypost dlq`: what died and why, and what to do about it.
//!
//! A look takes a snapshot: messages are leased while they are looked at and handed back afterwards, also on Ctrl-C.
//! Nothing is shown of a payload that its schema doesn't class as open. What acts is a dry run until `--execute` and
//! `--reason` are given, and is on record in the consumer's database then.

mod act;
mod apply;
mod browse;
mod desk;
mod discard;
mod edit;
mod export;
mod groups;
mod history;
mod import;
mod list;
mod matching;
mod native;
mod pacing;
mod replay;
mod report;
mod restore;
mod show;
mod stats;

use std::{fmt, process::ExitCode};

use clap::Subcommand;
use service::settings::Env;

pub use desk::until_somebody_stops;
pub use pacing::rate;

/// Several exit codes are of this command alone; `docs/dead-letters.md` tells all of them.
const NOTHING_MATCHED: u8 = 3;
const STOPPED: u8 = 4;
pub const INTERRUPTED: u8 = 130;

#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// List the dead-letter queues: how many, how old, since when, and why
    List(list::List),
    /// Group dead letters by fault
    Groups(groups::ShowGroups),
    /// List single dead letters
    Browse(browse::Browse),
    /// Show one dead letter, with everything that is known of it
    Show(show::Show),
    /// Count, without looking into messages
    Stats(stats::Stats),
    /// Say what a replay would do; with --execute, send letters back to the queue they came from
    Replay(replay::Replay),
    /// Say what would be discarded; with --execute, archive and delete it
    Discard(discard::Discard),
    /// Change one letter in $EDITOR; with --execute, replay it as changed
    Edit(edit::EditOne),
    /// Put discarded letters back into their dead-letter queue
    Restore(restore::Restore),
    /// Carry out a plan that --plan-out has written
    Apply(apply::Apply),
    /// Go on with an operation that was killed or stopped
    Resume(apply::Resume),
    /// Write letters as JSON lines, whole
    Export(export::Export),
    /// Put exported letters into a dead-letter queue
    Import(import::Import),
    /// Show who did what, when and why
    History(history::History),
}

/// Somebody wanted an end. What was held is back.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; what was held is back in its queue")
    }
}

impl std::error::Error for Interrupted {}

impl Dlq {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.execute(env).await,
            Self::Groups(groups) => groups.execute(env).await,
            Self::Browse(browse) => browse.execute(env).await,
            Self::Show(show) => show.execute(env).await,
            Self::Stats(stats) => stats.execute(env).await,
            Self::Replay(replay) => replay.execute(env).await,
            Self::Discard(discard) => discard.execute(env).await,
            Self::Edit(edit) => edit.execute(env).await,
            Self::Restore(restore) => restore.execute(env).await,
            Self::Apply(apply) => apply.execute(env).await,
            Self::Resume(resume) => resume.execute(env).await,
            Self::Export(export) => export.execute(env).await,
            Self::Import(import) => import.execute(env).await,
            Self::History(history) => history.execute(env).await,
        }
    }
}
