//! The filter as command lines have it: the same for every verb.

use anyhow::bail;
use clap::Args;
use redrive::{Attempts, Filter};
use schemas::Clock;

use crate::{Usage, moment};

/// Acting on more letters than this takes somebody who says so.
pub const UNASKED: usize = 100;

#[derive(Debug, Args)]
#[command(next_help_heading = "Which letters (all of what is given has to hold)")]
pub struct Matching {
    /// Events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Events of this version of their schema
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// The beginning of a fingerprint, as `dlq groups` shows it
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Words in the reason, its message or a cause
    #[arg(long, value_name = "WORDS")]
    reason_contains: Option<String>,
    /// An event's id, or a message's where it is no event; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Whom the events are about: their subject
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Died then or later: a time, or how long ago (30m, 2h, 3d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Died before: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Tried as often as this: 3, >3, >=3, <3, <=3
    #[arg(long, value_name = "N")]
    attempts: Option<Attempts>,
    /// No more than this many, those that died first
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Every letter that matches, however many there are
    #[arg(long = "all-matching", conflicts_with = "limit")]
    all: bool,
}

impl Matching {
    pub fn filter(&self) -> anyhow::Result<Filter> {
        let now = Clock::system().now();
        let time = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| moment::parse(text, now).map_err(|error| Usage(format!("{name} is `{text}`: it {error}"))))
                .transpose()
        };
        Ok(Filter {
            types: self.types.iter().cloned().collect(),
            version: self.version,
            group: self.group.clone(),
            reason_contains: self.reason_contains.clone(),
            ids: self.ids.iter().cloned().collect(),
            user: self.user.clone(),
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            attempts: self.attempts,
            limit: self.limit,
        })
    }

    pub fn is_all(&self) -> bool {
        self.all
    }

    /// For what acts: everything has to be asked for.
    pub fn chosen(&self) -> anyhow::Result<Filter> {
        let filter = self.filter()?;
        if filter.is_empty() && !self.all && self.limit.is_none() {
            bail!(Usage(
                "which letters? Say --id, --group, --type or another filter, or --all-matching for every one"
                    .to_owned()
            ));
        }
        Ok(filter)
    }

    /// Refuses to act on many letters that nobody has spoken of.
    pub fn allows(&self, letters: usize) -> anyhow::Result<()> {
        if letters > UNASKED && !self.all && self.limit.is_none() {
            bail!(Usage(format!(
                "{letters} letters match: say --all-matching if all of them are meant, or --limit for the first ones"
            )));
        }
        Ok(())
    }
}
