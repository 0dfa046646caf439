//! What an operation is about to do, letter by letter. It can be kept in a file and carried out later; then every letter
//! is decided anew, because time has passed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{DeadLetter, Decision, Filter, Inbox, Leave, OperationError, READ_TOGETHER, Saw, Snapshot};

/// What is done to letters. As `redrive_operations` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    Replay,
    Discard,
    Edit,
    Restore,
    Export,
    Import,
    Reveal,
    Native,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Of this file.
    pub format: u32,
    /// By which the operation will be known. A plan can be carried out once.
    pub operation: Uuid,
    pub verb: Verb,
    pub consumer: String,
    pub queue: String,
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
    pub filter: Filter,
    /// Whether letters that have been applied are discarded instead of left.
    pub discard_applied: bool,
    /// In the order of their deaths.
    pub letters: Vec<Planned>,
}

/// One letter of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub key: String,
    pub id: String,
    pub event_type: Option<String>,
    #[serde(flatten)]
    pub decision: Decision,
    /// Its number in the snapshot that the plan was made from, or was found in again.
    #[serde(skip)]
    pub letter: Option<u32>,
}

/// A plan's file, as it is written now.
pub const FORMAT: u32 = 1;

impl Plan {
    /// Decides for every letter of `snapshot` that `filter` means. Writes nothing.
    pub async fn make(
        snapshot: &Snapshot,
        queue: &str,
        inbox: &Inbox,
        verb: Verb,
        filter: Filter,
        discard_applied: bool,
        now: OffsetDateTime,
    ) -> Result<Self, OperationError> {
        let mut planned = Vec::new();
        for numbers in snapshot.choose(&filter, inbox.pool()).await?.chunks(READ_TOGETHER) {
            let letters = snapshot.read(numbers, inbox.pool()).await?;
            let decisions = inbox.decide(verb, discard_applied, None, &letters).await?;
            planned.extend(numbers.iter().zip(letters).zip(decisions).map(|((number, letter), decision)| Planned {
                key: letter.key(),
                id: letter.id().to_owned(),
                event_type: letter.event_type().map(str::to_owned),
                decision,
                letter: Some(*number),
            }));
        }
        Ok(Self {
            format: FORMAT,
            operation: schemas::event_id(now),
            verb,
            consumer: inbox.consumer().name().to_owned(),
            queue: queue.to_owned(),
            made_at: now,
            filter,
            discard_applied,
            letters: planned,
        })
    }

    /// Looks for the letters of this plan in another snapshot, and decides for them anew. `own` is the operation that may be
    /// at them already. Those that aren't there keep their decision, and no number.
    pub async fn find_again(
        &mut self,
        snapshot: &Snapshot,
        inbox: &Inbox,
        own: Option<Uuid>,
    ) -> Result<(), OperationError> {
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        for (at, planned) in self.letters.iter_mut().enumerate() {
            planned.letter = None;
            wanted.insert(planned.key.clone(), at);
        }
        let all: Vec<u32> = (0..snapshot.letters() as u32).collect();
        for numbers in all.chunks(READ_TOGETHER) {
            let letters = snapshot.read(numbers, inbox.pool()).await?;
            let (numbers, letters): (Vec<u32>, Vec<DeadLetter>) =
                numbers.iter().copied().zip(letters).filter(|(_, letter)| wanted.contains_key(&letter.key())).unzip();
            let decisions = inbox.decide(self.verb, self.discard_applied, own, &letters).await?;
            for ((number, letter), decision) in numbers.into_iter().zip(letters).zip(decisions) {
                let Some(planned) = wanted.get(&letter.key()).and_then(|at| self.letters.get_mut(*at)) else {
                    continue;
                };
                planned.letter = Some(number);
                // What was to be left stays: nobody has been told that it would be touched. And of an edit, what lies in the
                // queue may well fail: that is what was mended.
                let was_left = matches!(planned.decision, Decision::Leave { .. });
                let is_mended =
                    self.verb == Verb::Edit && matches!(decision, Decision::Leave { why: Leave::WouldFail { .. } });
                if !was_left && !is_mended {
                    planned.decision = decision;
                }
            }
        }
        Ok(())
    }

    /// How many letters there are for each thing to be done or reason not to.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for planned in &self.letters {
            *counts.entry(planned.decision.name().to_owned()).or_default() += 1;
        }
        counts
    }

    pub fn to_do(&self) -> usize {
        self.letters.iter().filter(|planned| !matches!(planned.decision, Decision::Leave { .. })).count()
    }
}

impl Decision {
    /// A short name for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Leave { why: Leave::AlreadyApplied { .. } } => "already-applied",
            Self::Leave { why: Leave::WouldFail { .. } } => "would-fail",
            Self::Leave { why: Leave::InProgress { .. } } => "in-progress",
        }
    }
}

impl Verb {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Edit => "edit",
            Self::Restore => "restore",
            Self::Export => "export",
            Self::Import => "import",
            Self::Reveal => "reveal",
            Self::Native => "native",
        }
    }
}

/// How much of the queue a plan was made from, for whoever tells about it.
impl Saw {
    /// In words.
    pub fn sentence(&self) -> String {
        let Self { messages, visible, held_by_others, complete, .. } = self;
        match (complete, held_by_others) {
            (true, _) => format!("saw all of {messages} messages"),
            (false, 0) => format!("saw {messages} of about {visible} messages"),
            (false, held) => {
                format!("saw {messages} of about {} messages; {held} were held by somebody else", visible + held)
            }
        }
    }
}
