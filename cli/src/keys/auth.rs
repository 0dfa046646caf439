//! `waypost keys auth`: the keys that access tokens are signed with. What each of them does follows from when it was made.

use std::{path::PathBuf, process::ExitCode};

use auth_service::{AuthKeys, KeyState, PUBLISHED_AHEAD, PseudonymKey, SigningKeySource, dated_states};
use clap::{Args, Subcommand};
use schemas::Clock;
use serde::Serialize;
use service::{
    key_files::KeyFolder,
    settings::{Env, all},
};
use time::OffsetDateTime;

use crate::{
    moment, outln,
    table::{Mark, Table, counted, cut, left},
};

#[derive(Debug, Subcommand)]
pub enum AuthKeyCommand {
    /// Make a new key, which signs once everybody can have it
    Rotate(Rotate),
    /// Say which keys there are, and what each of them does
    List(List),
}

const ROTATE: &str = "\
The key goes into AUTH_KEYS_DIR, from where every instance of auth-service reads it within a
minute. It is published at once, and signs after 20 minutes. Should the key that signs have
become known to somebody, remove its file afterwards: the one before it then signs, or, where
there is none, the new one at once. The key for pseudonyms of addresses is made too, once.

Examples:
  waypost keys auth rotate
  waypost keys auth rotate --remove-unneeded --json";

const LIST: &str = "\
Fails where there is no key.

Examples:
  waypost keys auth list
  waypost keys auth list --json";

#[derive(Debug, Args)]
#[command(after_help = ROTATE)]
pub struct Rotate {
    /// Remove the keys that no token which is still good was signed with
    #[arg(long)]
    remove_unneeded: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub struct List {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    #[serde(flatten)]
    key: Key,
    /// From when it signs.
    #[serde(with = "time::serde::rfc3339")]
    signs_from: OffsetDateTime,
    removed: Vec<Key>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    /// As the `kid` of tokens names it.
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    made_at: OffsetDateTime,
    state: &'static str,
    file: PathBuf,
}

impl AuthKeyCommand {
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let now = Clock::system().now();
        let (folder, pseudonyms) = all((AuthKeys::signing_folder(env), AuthKeys::pseudonyms_folder(env)))?;
        match self {
            Self::Rotate(rotate) => {
                // Made once and never rotated: what it makes is only good as long as it stays the same.
                PseudonymKey::Folder { folder: pseudonyms, makes_first: true }.open(now)?;
                rotate.execute(&folder, now)
            }
            Self::List(list) => list.execute(&folder, now),
        }
    }
}

impl Rotate {
    fn execute(self, folder: &KeyFolder, now: OffsetDateTime) -> anyhow::Result<ExitCode> {
        let made = source(folder.clone()).make(now)?;
        let mut keys = keys(folder, now)?;
        let is_only = keys.len() == 1;
        let removed = if self.remove_unneeded { remove_unneeded(folder, &mut keys)? } else { Vec::new() };
        let Some(key) = keys.into_iter().find(|key| key.id == made.key.id()) else {
            anyhow::bail!("the key that was made is gone again");
        };
        let signs_from = if is_only { now } else { key.made_at + PUBLISHED_AHEAD };
        let rotated = Rotated { key, signs_from, removed };
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rotated)?);
        } else {
            outln!("{} signs from {}", rotated.key.id, moment::shown(signs_from));
            outln!("private key: {}", rotated.key.file.display());
            for key in &rotated.removed {
                outln!("removed:     {} ({})", key.file.display(), key.id);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn execute(self, folder: &KeyFolder, now: OffsetDateTime) -> anyhow::Result<ExitCode> {
        let keys = keys(folder, now)?;
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&keys)?);
        } else if !keys.is_empty() {
            print(&keys)?;
        }
        if keys.is_empty() {
            eprintln!("there is no key in {}: `waypost keys auth rotate` makes one", folder.path().display());
            return Ok(ExitCode::FAILURE);
        }
        let unneeded = keys.iter().filter(|key| is_unneeded(key)).count();
        if unneeded > 0 {
            let keys = counted(unneeded, "key");
            eprintln!("{keys} can go: `waypost keys auth rotate --remove-unneeded` removes what is not needed");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn source(folder: KeyFolder) -> SigningKeySource {
    SigningKeySource::Folder { folder, makes_first: false, rotates: false }
}

/// Oldest first.
fn keys(folder: &KeyFolder, now: OffsetDateTime) -> anyhow::Result<Vec<Key>> {
    let found = source(folder.clone()).read()?;
    let made: Vec<_> = found.iter().map(|key| key.made_at).collect();
    let keys = found.iter().zip(dated_states(&made, now)).map(|(key, state)| Key {
        id: key.key.id().to_owned(),
        made_at: key.made_at,
        state: state.as_str(),
        file: folder.path_of(key.made_at),
    });
    Ok(keys.collect())
}

fn is_unneeded(key: &Key) -> bool {
    key.state == KeyState::Expired.as_str()
}

fn remove_unneeded(folder: &KeyFolder, keys: &mut Vec<Key>) -> anyhow::Result<Vec<Key>> {
    let removed: Vec<_> = keys.extract_if(.., |key| is_unneeded(key)).collect();
    for file in folder.read()? {
        if removed.iter().any(|key| key.made_at == file.made_at) {
            folder.remove(&file)?;
        }
    }
    Ok(removed)
}

fn print(keys: &[Key]) -> anyhow::Result<()> {
    let mut table = Table::new([left("MADE"), left("ID"), left("STATE"), cut("FILE")]);
    for key in keys {
        let mark = if key.state == KeyState::Active.as_str() { Mark::Plain } else { Mark::Dim };
        let file = key.file.display().to_string();
        table.marked([moment::shown(key.made_at), key.id.clone(), key.state.to_owned(), file], mark);
    }
    Ok(table.print()?)
}
