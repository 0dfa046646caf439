//! `waypost keys mailer`: the pairs that tokens are sealed with, by auth-service, and opened with, by the mailer.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use mailer::{KEEP_SUPERSEDED, MailerSettings, PUBLIC_KEY};
use schemas::Clock;
use sealing::{KeyId, SealingKey};
use secrecy::ExposeSecret;
use serde::Serialize;
use service::{
    key_files::{KeyFile, KeyFolder},
    settings::{Env, SettingError, all},
};
use time::OffsetDateTime;

use crate::{
    moment, outln,
    table::{Mark, Table, counted, cut, left},
};

const PUBLIC_KEYS_DIR: &str = "MAILER_PUBLIC_KEYS_DIR";

#[derive(Debug, Subcommand)]
pub enum MailerKeys {
    /// Make a new pair, which seals from now on
    Rotate(Rotate),
    /// Say which keys there are, which one seals, and which are not needed any more
    List(List),
}

const ROTATE: &str = "\
The private key goes into MAILER_KEYS_DIR, the public one into MAILER_PUBLIC_KEYS_DIR. Where
mailers and auth-service read other places, take the private key to every mailer before the
public one to any auth-service.

Examples:
  waypost keys mailer rotate
  waypost keys mailer rotate --remove-unneeded --json";

const LIST: &str = "\
Fails where nothing can be sealed, or what is sealed could not be opened.

Examples:
  waypost keys mailer list
  waypost keys mailer list --json";

#[derive(Debug, Args)]
#[command(after_help = ROTATE)]
pub struct Rotate {
    /// Remove the keys that no link which still works was sealed for
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
    /// The id of the pair that seals from now on.
    id: String,
    private_key: PathBuf,
    public_key: PathBuf,
    removed: Vec<Key>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    made_at: OffsetDateTime,
    state: State,
    /// Until when it is to be kept, once another has taken its place.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    needed_until: Option<OffsetDateTime>,
    /// Of the private key.
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// What is sealed now is sealed for it.
    Seals,
    /// What was sealed for it may still come.
    Opens,
    Unneeded,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Seals => "seals",
            Self::Opens => "opens",
            Self::Unneeded => "unneeded",
        }
    }
}

impl MailerKeys {
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let now = Clock::system().now();
        match self {
            Self::Rotate(rotate) => rotate.execute(env, now),
            Self::List(list) => list.execute(env, now),
        }
    }
}

/// The folder of public keys.
fn public_folder(env: &Env) -> Result<KeyFolder, SettingError> {
    let path = env.required(PUBLIC_KEYS_DIR, "the path of the folder with the mailer's public keys")?;
    Ok(KeyFolder::new(path, PUBLIC_KEY))
}

impl Rotate {
    fn execute(self, env: &Env, now: OffsetDateTime) -> anyhow::Result<ExitCode> {
        let (private, public) = all((MailerSettings::keys(env), public_folder(env)))?;
        let id = mailer::make_pair(&private, &public, now)?;
        let removed = if self.remove_unneeded { remove_unneeded(&private, &public, now)? } else { Vec::new() };
        let rotated =
            Rotated { id: id.to_string(), private_key: private.path_of(now), public_key: public.path_of(now), removed };
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rotated)?);
        } else {
            outln!("{id} seals from now on");
            outln!("private key: {}", rotated.private_key.display());
            outln!("public key:  {}", rotated.public_key.display());
            for key in &rotated.removed {
                outln!("removed:     {} ({})", key.file.display(), key.id);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn remove_unneeded(private: &KeyFolder, public: &KeyFolder, now: OffsetDateTime) -> anyhow::Result<Vec<Key>> {
    let unneeded: Vec<_> = keys(private, now)?.into_iter().filter(|key| key.state == State::Unneeded).collect();
    for folder in [private, public] {
        for file in folder.read()? {
            if unneeded.iter().any(|key| key.made_at == file.made_at) {
                folder.remove(&file)?;
            }
        }
    }
    Ok(unneeded)
}

/// The private keys, oldest first.
fn keys(private: &KeyFolder, now: OffsetDateTime) -> anyhow::Result<Vec<Key>> {
    let found = mailer::private_keys(private)?;
    let superseded_at: Vec<_> = found.iter().skip(1).map(|(made_at, _)| *made_at).collect();
    let keys = found.into_iter().enumerate().map(|(at, (made_at, key))| {
        let needed_until = superseded_at.get(at).map(|superseded_at| *superseded_at + KEEP_SUPERSEDED);
        let state = match needed_until {
            None => State::Seals,
            Some(until) if until > now => State::Opens,
            Some(_) => State::Unneeded,
        };
        Key { id: key.id().to_string(), made_at, state, needed_until, file: private.path_of(made_at) }
    });
    Ok(keys.collect())
}

impl List {
    fn execute(self, env: &Env, now: OffsetDateTime) -> anyhow::Result<ExitCode> {
        let (private, public) = all((MailerSettings::keys(env), env.optional(PUBLIC_KEYS_DIR)))?;
        let public = public.map(|path| KeyFolder::new(path, PUBLIC_KEY));
        let keys = keys(&private, now)?;
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&keys)?);
        } else if !keys.is_empty() {
            print(&keys)?;
        }
        let wrong = match public {
            _ if keys.is_empty() => Some(format!("there is no key in {}", private.path().display())),
            Some(public) => mismatch(&keys, &public)?,
            None => None,
        };
        if let Some(wrong) = wrong {
            eprintln!("{wrong}: `waypost keys mailer rotate` makes a pair");
            return Ok(ExitCode::FAILURE);
        }
        let unneeded = keys.iter().filter(|key| key.state == State::Unneeded).count();
        if unneeded > 0 {
            let keys = counted(unneeded, "key");
            eprintln!("{keys} can go: `waypost keys mailer rotate --remove-unneeded` removes what is not needed");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Why what is sealed now could not be opened.
fn mismatch(keys: &[Key], public: &KeyFolder) -> anyhow::Result<Option<String>> {
    let files = public.read()?;
    let Some(newest) = files.last() else {
        return Ok(Some(format!("there is no key in {}, so nothing can be sealed", public.path().display())));
    };
    let id = id_of(newest)?.to_string();
    let opens = keys.iter().any(|key| key.id == id);
    Ok((!opens).then(|| format!("what is sealed with {} can't be opened with any key here", newest.path.display())))
}

fn id_of(public: &KeyFile) -> anyhow::Result<KeyId> {
    let key = SealingKey::parse(public.contents.expose_secret());
    Ok(key.with_context(|| format!("{} holds no public key of the mailer", public.path.display()))?.id())
}

fn print(keys: &[Key]) -> anyhow::Result<()> {
    let mut table = Table::new([left("MADE"), left("ID"), left("STATE"), left("NEEDED UNTIL"), cut("FILE")]);
    for key in keys {
        let mark = if key.state == State::Seals { Mark::Plain } else { Mark::Dim };
        let until = key.needed_until.map_or_else(|| "–".to_owned(), moment::shown);
        let file = key.file.display().to_string();
        table.marked([moment::shown(key.made_at), key.id.clone(), key.state.as_str().to_owned(), until, file], mark);
    }
    Ok(table.print()?)
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    #[test]
    fn a_key_is_kept_for_as_long_as_a_link_that_was_sealed_for_it_may_work() {
        let place = tempfile::tempdir().unwrap();
        let [private, public] = [(mailer::PRIVATE_KEY, "keys"), (PUBLIC_KEY, "pub")]
            .map(|(extension, folder)| KeyFolder::new(place.path().join(folder), extension));
        let start = datetime!(2026-11-26 06:15 UTC);
        for days in [0, 30, 60] {
            mailer::make_pair(&private, &public, start + Duration::days(days)).unwrap();
        }
        let states = |now| keys(&private, now).unwrap().iter().map(|key| key.state).collect::<Vec<_>>();
        let superseded = start + Duration::days(30);
        let last_moment = superseded + KEEP_SUPERSEDED - Duration::SECOND;
        assert_eq!(states(last_moment), [State::Opens, State::Opens, State::Seals]);
        assert_eq!(states(superseded + KEEP_SUPERSEDED), [State::Unneeded, State::Opens, State::Seals]);
        // However old the newest is, it is what seals.
        assert_eq!(states(start + Duration::days(5_000)), [State::Unneeded, State::Unneeded, State::Seals]);

        let removed = remove_unneeded(&private, &public, start + Duration::days(5_000)).unwrap();
        assert_eq!(removed.len(), 2);
        let left = [private.read().unwrap(), public.read().unwrap()].map(|files| files.len());
        assert_eq!(left, [1, 1]);
        assert_eq!(states(start + Duration::days(5_000)), [State::Seals]);
    }
}
