//! Page after page, until the end or until somebody stops it.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use messaging::{EntryError, OutgoingMessage, Queue, RetryDelay};
use redrive::{Metronome, Pace};
use schemas::{BackfillRun, Envelope, EventType};
use service::ErrorChain;
use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::source::{Page, Source};
use crate::{events::publish::message, progress::bar};

pub struct Sending<'a> {
    pub source: &'a Source,
    pub takes: &'a BTreeSet<EventType>,
    pub pool: &'a PgPool,
    /// `None`: nothing is sent.
    pub queue: Option<&'a dyn Queue>,
    pub rate: Option<NonZeroU32>,
    pub run: BackfillRun,
}

/// What was sent, or would have been.
#[derive(Debug, Default)]
pub struct Sent {
    pub subjects: u64,
    pub events: BTreeMap<String, u64>,
    /// All events of this subject, and of all before it, are in the queue.
    pub last: Option<Uuid>,
    pub end: End,
}

#[derive(Debug, Default)]
pub enum End {
    #[default]
    Reached,
    Interrupted,
    Failed(String),
}

/// The events of some subjects that follow each other.
#[derive(Default)]
struct Batch {
    subjects: u64,
    last: Option<Uuid>,
    envelopes: Vec<Envelope>,
}

const SUBJECTS_OF_A_PAGE: u16 = 500;
/// A queue that is away for longer is not waited for: whoever looks into it can go on with the run.
const ATTEMPTS: u32 = 6;
const DELAY: RetryDelay = RetryDelay::new(Duration::from_millis(200), Duration::from_secs(5));
/// How often somebody who sees no bar is told where it is.
const TOLD_EACH: Duration = Duration::from_secs(30);

impl Sending<'_> {
    pub async fn from(&self, after: Option<Uuid>, left: i64, stop: &CancellationToken) -> Sent {
        let bar = bar(self.source.subjects, usize::try_from(left).unwrap_or_default());
        let mut sent = Sent { last: after, ..Sent::default() };
        let mut told_at = Instant::now();
        let progress = |sent: &Sent| {
            bar.set_position(sent.subjects);
            if told_at.elapsed() >= TOLD_EACH {
                told_at = Instant::now();
                let last = sent.last.map(|last| last.to_string()).unwrap_or_default();
                bar.suspend(|| eprintln!("{} of {left} {}, up to {last}", sent.subjects, self.source.subjects));
            }
        };
        sent.end = match self.all(&mut sent, progress, stop).await {
            Ok(end) => end,
            Err(error) => End::Failed(ErrorChain(error.as_ref()).to_string()),
        };
        bar.finish_and_clear();
        sent
    }

    async fn all(
        &self,
        sent: &mut Sent,
        mut progress: impl FnMut(&Sent),
        stop: &CancellationToken,
    ) -> anyhow::Result<End> {
        let pace = Pace { rate: self.rate, ..Pace::default() };
        let mut metronome = pace.metronome();
        loop {
            let subjects = (self.source.page)(self.pool, self.run, sent.last, SUBJECTS_OF_A_PAGE).await?;
            if subjects.is_empty() {
                return Ok(End::Reached);
            }
            for batch in self.batches(subjects, pace.together()) {
                if stop.is_cancelled() || !self.is_sent(&batch, &mut metronome, stop).await? {
                    return Ok(End::Interrupted);
                }
                sent.subjects += batch.subjects;
                sent.last = batch.last;
                for envelope in batch.envelopes {
                    *sent.events.entry(envelope.event_type).or_default() += 1;
                }
                progress(sent);
            }
        }
    }

    /// As many subjects as make so many events, of those that the consumer takes.
    fn batches(&self, subjects: Page, together: usize) -> Vec<Batch> {
        let mut batches = vec![Batch::default()];
        for (subject, mut envelopes) in subjects {
            envelopes.retain(|envelope| self.takes.iter().any(|event| event.as_str() == envelope.event_type));
            if batches.last().is_some_and(|batch| batch.envelopes.len() >= together) {
                batches.push(Batch::default());
            }
            if let Some(batch) = batches.last_mut() {
                batch.subjects += 1;
                batch.last = Some(subject);
                batch.envelopes.extend(envelopes);
            }
        }
        batches
    }

    /// False where somebody stopped it before.
    async fn is_sent(
        &self,
        batch: &Batch,
        metronome: &mut Metronome,
        stop: &CancellationToken,
    ) -> anyhow::Result<bool> {
        let Some(queue) = self.queue else { return Ok(true) };
        let at = metronome.admit(batch.envelopes.len());
        if stop.run_until_cancelled(sleep_until(at)).await.is_none() {
            return Ok(false);
        }
        let mut messages = batch.envelopes.iter().map(message).collect::<anyhow::Result<Vec<_>>>()?;
        for attempt in 1.. {
            let failed = unsent(queue, messages).await;
            // Its own fault, or for too long: of those that may be tried again, none is told before the others are through.
            let last = failed.iter().find(|(_, error)| !matches!(error, EntryError::Unavailable { .. }));
            if let Some((_, error)) = last.or(failed.first().filter(|_| attempt == ATTEMPTS)) {
                return Err(error.clone().into());
            }
            if failed.is_empty() {
                break;
            }
            messages = failed.into_iter().map(|(message, _)| message).collect();
            sleep(DELAY.after(attempt)).await;
        }
        Ok(true)
    }
}

async fn unsent(queue: &dyn Queue, messages: Vec<OutgoingMessage>) -> Vec<(OutgoingMessage, EntryError)> {
    let results = queue.send(&messages).await;
    let failed = |(message, result): (OutgoingMessage, Result<_, EntryError>)| Some((message, result.err()?));
    messages.into_iter().zip(results).filter_map(failed).collect()
}
