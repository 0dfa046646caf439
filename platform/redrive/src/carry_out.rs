//! Carrying a plan out: send or archive, then delete, a hundred letters at a time, each by its own result.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, stream};
use messaging::{EntryError, OutgoingMessage, Queue};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::FAILURE_ATTRIBUTE;

use crate::{
    Approval, DeadLetter, Decision, Leave, Operation, OperationError, Pace, Places, Plan, Planned, REPLAY_ATTRIBUTE,
    ReplayStamp, Snapshot, Verb, archive, audit, edit,
    journal::{self, State},
    outcome::{self, Deaths, Outcomes},
    pace::Metronome,
};

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    pub id: String,
    /// `replayed`, `discarded`, `failed`, `kept` (sent or archived, and still to be deleted), `gone` (nobody has it any more),
    /// `missing` (held by somebody else), or why it was left.
    pub outcome: &'static str,
    pub detail: Option<String>,
}

/// What came of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    pub letters: Vec<Done>,
    /// Whether everything was gone through; `interrupted` by somebody, or `stopped` by what was asked of the pace.
    pub how: &'static str,
    pub why: Option<String>,
    /// Of what was replayed, where it was looked at.
    pub applied: usize,
    pub refailed: Vec<String>,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub done: usize,
    pub of: usize,
    pub refailed: usize,
}

/// One letter to touch.
#[derive(Debug, Clone)]
struct Step {
    number: u32,
    key: String,
    id: String,
    event: Option<Uuid>,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Send,
    Archive,
    /// It was sent or archived before this process began.
    Delete(&'static str),
}

/// What became of letters that share a write.
struct Together {
    letters: Vec<Done>,
    /// A queue that takes nothing at all won't take the next ones either.
    nothing_taken: bool,
}

/// What is looked at to tell how replayed events fare.
#[derive(Default)]
struct Watch {
    open: Vec<Uuid>,
    before: Deaths,
    ids: HashMap<Uuid, String>,
}

impl Operation {
    /// Does what `plan` says with the letters that `snapshot` holds. `before` are the rows that an earlier process left
    /// unfinished; empty for an operation that was just begun. Ends between letters on `stop`, by itself where `pace` says
    /// so. Idempotent: what was done before is not done again.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a thing of its own, and a struct of them would be used once"
    )]
    pub async fn carry_out(
        &self,
        places: &Places,
        snapshot: &Snapshot,
        plan: &Plan,
        before: &[journal::Row],
        pace: &Pace,
        _approval: &Approval,
        stop: &CancellationToken,
        progress: impl Fn(Progress),
    ) -> Result<Carried, OperationError> {
        let mut carried = Carried { how: audit::ENDED, ..Carried::default() };
        let todo = self.todo(snapshot, plan, before, &mut carried).await?;
        let touched: Vec<_> = todo.iter().map(|step| step.number).collect();
        snapshot.hand_back_others(&touched).await;
        let edited = match plan.verb {
            // Never the original in its place.
            Verb::Edit => Some(edit::body_of(&self.pool, self.id).await?.ok_or(OperationError::NoEdit(self.id))?),
            _ => None,
        };
        let watches = pace.ramp.is_some() || pace.stop_on_refail.is_some();
        let mut watch = Watch::default();
        let metronome = Mutex::new(pace.metronome());
        let mut sizes = pace.steps();
        let mut rest = todo.as_slice();
        while !rest.is_empty() && carried.how == audit::ENDED {
            let size = sizes.next().unwrap_or(rest.len()).min(rest.len());
            let (now, later) = rest.split_at(size);
            rest = later;
            if watches {
                watch.add(&self.pool, now).await?;
            }
            let (enough, edited) = (stop.child_token(), edited.as_deref());
            let chunks = now.chunks(pace.together()).map(|chunk| {
                let (metronome, enough) = (&metronome, &enough);
                async move {
                    if !admitted(metronome, chunk.len(), enough).await {
                        return Ok(None);
                    }
                    self.together(places, snapshot, chunk, edited).await.map(Some)
                }
            });
            let mut chunks = stream::iter(chunks.collect::<Vec<_>>()).buffered(pace.at_a_time());
            // To the end, also after an error: what was sent is written down as sent.
            let mut failed = None;
            while let Some(chunk) = chunks.next().await {
                match chunk {
                    Ok(Some(Together { letters, nothing_taken })) => {
                        carried.letters.extend(letters);
                        if nothing_taken {
                            enough.cancel();
                            carried.how = audit::STOPPED;
                            carried.why = Some("the queue takes nothing".to_owned());
                        }
                    }
                    Ok(None) if carried.how == audit::ENDED => carried.how = audit::INTERRUPTED,
                    Ok(None) => {}
                    Err(error) => {
                        enough.cancel();
                        failed.get_or_insert(error);
                    }
                }
                let refailed = carried.refailed.len();
                progress(Progress { done: carried.letters.len(), of: plan.letters.len(), refailed });
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if watches && carried.how == audit::ENDED {
                let last = rest.is_empty();
                self.look_at_outcomes(pace, &mut watch, last, stop, &mut carried).await?;
            }
        }
        Ok(carried)
    }

    /// What there is to do, in the plan's order; what there isn't goes to `carried` at once.
    async fn todo(
        &self,
        snapshot: &Snapshot,
        plan: &Plan,
        before: &[journal::Row],
        carried: &mut Carried,
    ) -> Result<Vec<Step>, OperationError> {
        let resumed: HashMap<_, _> = before.iter().map(|row| (row.letter_key.as_str(), row)).collect();
        let complete = snapshot.saw().complete;
        let mut todo = Vec::new();
        let (mut gone, mut outcomes) = (Vec::new(), Vec::new());
        for planned in &plan.letters {
            let row = resumed.get(planned.key.as_str()).copied();
            let Some(number) = planned.letter else {
                if matches!(planned.decision, Decision::Leave { .. }) {
                    continue;
                }
                let outcome = if complete { "gone" } else { "missing" };
                carried.letters.push(Done { id: planned.id.clone(), outcome, detail: None });
                if complete {
                    gone.push(planned.key.clone());
                    outcomes.push((planned.id.clone(), outcome, None));
                }
                continue;
            };
            match act(planned, row) {
                Some(act) => todo.push(Step {
                    number,
                    key: planned.key.clone(),
                    id: planned.id.clone(),
                    event: planned.key.parse().ok(),
                    act,
                }),
                None => carried.letters.push(left(planned)),
            }
        }
        // Nobody holds them, and the queue hasn't got them: they were deleted before.
        self.advance(&gone, State::Skipped, &outcomes).await?;
        Ok(todo)
    }

    /// Sends or archives, and deletes what is safe then.
    async fn together(
        &self,
        places: &Places,
        snapshot: &Snapshot,
        steps: &[Step],
        edited: Option<&str>,
    ) -> Result<Together, OperationError> {
        let mut done = Vec::with_capacity(steps.len());
        let numbers: Vec<_> = steps.iter().map(|step| step.number).collect();
        let letters = snapshot.read(&numbers, &self.pool).await?;
        let pairs: Vec<(&Step, DeadLetter)> = steps.iter().zip(letters).collect();
        let mut safe: Vec<(&Step, &'static str)> = Vec::new();

        let sending: Vec<_> = pairs.iter().filter(|(step, _)| step.act == Act::Send).collect();
        let messages: Vec<_> = sending.iter().map(|(_, letter)| self.stamped(letter, edited)).collect();
        let sent = send_all(&*places.queue, &messages).await;
        let nothing_taken =
            !sent.is_empty() && sent.iter().all(|result| matches!(result, Err(EntryError::Unavailable { .. })));
        let (mut keys, mut failures) = (Vec::new(), Vec::new());
        for ((step, _), result) in sending.into_iter().zip(sent) {
            match result {
                Ok(()) => {
                    keys.push(step.key.clone());
                    safe.push((step, "replayed"));
                }
                Err(error) => {
                    let detail = Some(error.to_string());
                    failures.push((step.id.clone(), "failed", detail.clone()));
                    done.push(Done { id: step.id.clone(), outcome: "failed", detail });
                }
            }
        }
        self.advance(&keys, State::Sent, &failures).await?;

        let (archiving, archived): (Vec<_>, Vec<_>) =
            pairs.iter().filter(|(step, _)| step.act == Act::Archive).map(|(step, letter)| (*step, letter)).unzip();
        self.archive(&archiving, archived).await?;
        safe.extend(archiving.into_iter().map(|step| (step, "discarded")));
        safe.extend(steps.iter().filter_map(|step| match step.act {
            Act::Delete(outcome) => Some((step, outcome)),
            Act::Send | Act::Archive => None,
        }));

        let numbers: Vec<_> = safe.iter().map(|(step, _)| step.number).collect();
        let deleted = snapshot.delete(&numbers).await.map_err(crate::SnapshotError::Disk)?;
        let (mut keys, mut outcomes) = (Vec::new(), Vec::new());
        for ((step, outcome), deleted) in safe.into_iter().zip(deleted) {
            let (outcome, detail) = match deleted {
                Ok(()) | Err(EntryError::Gone { .. }) => (outcome, None),
                Err(error) => ("kept", Some(error.to_string())),
            };
            if outcome != "kept" {
                keys.push(step.key.clone());
                outcomes.push((step.id.clone(), outcome, None));
            }
            done.push(Done { id: step.id.clone(), outcome, detail });
        }
        self.advance(&keys, State::Deleted, &outcomes).await?;
        Ok(Together { letters: done, nothing_taken })
    }

    async fn archive(&self, steps: &[&Step], letters: Vec<&DeadLetter>) -> Result<(), OperationError> {
        if steps.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = steps.iter().map(|step| step.key.clone()).collect();
        let mut tx = self.pool.begin().await?;
        archive::put(&mut tx, self.id, &letters, self.clock.now()).await?;
        journal::advance(&mut tx, self.id, &keys, State::Archived, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// The letter as it was before it failed, or as it was edited, with what tells a replay that fails again.
    fn stamped(&self, letter: &DeadLetter, edited: Option<&str>) -> OutgoingMessage {
        let mut message = letter.copies[0].to_outgoing();
        if let Some(body) = edited {
            body.clone_into(&mut message.body);
        }
        // What is said of an old failure would be wrong of the next one, and SNS says nothing of the second delivery.
        for old in [FAILURE_ATTRIBUTE, "ErrorCode", "ErrorMessage", "RequestID"] {
            message.attributes.remove(old);
        }
        let count = letter.replayed().map_or(0, |stamp| stamp.count) + 1;
        let stamp = ReplayStamp { operation: self.id, count, at: self.clock.now() };
        message.attributes.insert(REPLAY_ATTRIBUTE.to_owned(), stamp.to_attribute());
        message
    }

    async fn look_at_outcomes(
        &self,
        pace: &Pace,
        watch: &mut Watch,
        last: bool,
        stop: &CancellationToken,
        carried: &mut Carried,
    ) -> Result<(), OperationError> {
        // A failure to send is none of the event's.
        let sent: HashSet<_> =
            carried.letters.iter().filter(|done| done.outcome != "failed").map(|done| done.id.as_str()).collect();
        watch.open.retain(|event| watch.ids.get(event).is_some_and(|id| sent.contains(id.as_str())));
        let outcomes = if pace.ramp.is_some() || last {
            outcome::wait(&self.pool, &watch.open, &watch.before, pace.verify, stop).await?
        } else {
            outcome::look(&self.pool, &watch.open, &watch.before).await?
        };
        let Outcomes { applied, refailed, unknown } = outcomes;
        carried.applied += applied.len();
        carried.refailed.extend(refailed.iter().filter_map(|event| watch.ids.get(event).cloned()));
        let told: Vec<_> = refailed.iter().filter_map(|event| watch.ids.get(event)).collect();
        self.tell(&told.into_iter().map(|id| (id.clone(), "refailed", None)).collect::<Vec<_>>()).await?;
        let silent = unknown.len();
        watch.open = unknown;
        if pace.stop_on_refail.is_some_and(|most| carried.refailed.len() >= most) {
            carried.how = audit::STOPPED;
            carried.why = Some(format!("{} failed again", carried.refailed.len()));
        } else if pace.ramp.is_some() && silent > 0 && !last {
            carried.how = if stop.is_cancelled() { audit::INTERRUPTED } else { audit::STOPPED };
            carried.why = Some(format!("nothing was heard of {silent} within {} s", pace.verify.as_secs()));
        }
        Ok(())
    }
}

impl Watch {
    async fn add(&mut self, pool: &sqlx::PgPool, steps: &[Step]) -> Result<(), sqlx::Error> {
        let replayed = steps.iter().filter(|step| step.act == Act::Send);
        let events: Vec<_> = replayed.filter_map(|step| Some((step.event?, step.id.clone()))).collect();
        let keys: Vec<_> = events.iter().map(|(event, _)| *event).collect();
        self.before.extend(outcome::deaths(pool, &keys).await?);
        self.open.extend(keys);
        self.ids.extend(events);
        Ok(())
    }
}

fn act(planned: &Planned, row: Option<&journal::Row>) -> Option<Act> {
    match (row.map(|row| row.state), &planned.decision) {
        (Some(State::Sent), _) => Some(Act::Delete("replayed")),
        (Some(State::Archived), _) => Some(Act::Delete("discarded")),
        (_, Decision::Replay) => Some(Act::Send),
        // The second: sent by the process that was killed before it could say so, and applied since.
        (_, Decision::Discard) | (Some(State::Planned), Decision::Leave { why: Leave::AlreadyApplied { .. } }) => {
            Some(Act::Archive)
        }
        (_, Decision::Leave { .. }) => None,
    }
}

fn left(planned: &Planned) -> Done {
    let detail = match &planned.decision {
        Decision::Leave { why: Leave::WouldFail { reason, detail } } => Some(format!("{reason}: {detail}")),
        Decision::Leave { why: Leave::InProgress { operation, actor, .. } } => Some(format!("{operation} by {actor}")),
        _ => None,
    };
    Done { id: planned.id.clone(), outcome: planned.decision.name(), detail }
}

/// Waits until `letters` may go. `false` where somebody wants an end.
async fn admitted(metronome: &Mutex<Metronome>, letters: usize, stop: &CancellationToken) -> bool {
    if stop.is_cancelled() {
        return false;
    }
    let at = metronome.lock().unwrap_or_else(PoisonError::into_inner).admit(letters);
    tokio::select! {
        () = tokio::time::sleep_until(at) => !stop.is_cancelled(),
        () = stop.cancelled() => false,
    }
}

/// Sends with the stamp; without it what is too large with it, or has ten attributes already.
async fn send_all(queue: &dyn Queue, messages: &[OutgoingMessage]) -> Vec<Result<(), EntryError>> {
    let mut results = Vec::with_capacity(messages.len());
    for (message, sent) in messages.iter().zip(queue.send(messages).await) {
        results.push(match sent {
            Ok(_) => Ok(()),
            Err(EntryError::Refused { .. }) => {
                let mut plain = message.clone();
                plain.attributes.remove(REPLAY_ATTRIBUTE);
                let sent = queue.send(std::slice::from_ref(&plain)).await.pop();
                sent.unwrap_or_else(|| Err(EntryError::unavailable("NoAnswer", "the queue did not answer"))).map(drop)
            }
            Err(error) => Err(error),
        });
    }
    results
}
