//! From a raw message to a [`Delivery`], or to the reason why it can never be one.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use messaging::unwrap_notification;
use schemas::{Envelope, EnvelopeError, InboxKey, PayloadError};
use time::{Duration, OffsetDateTime};

use crate::{
    inbox::window::Window,
    message::lease::Held,
    registry::{AnyEvent, AnyHandler, Consumer},
};

/// An event that was received, read, and is held under a lease.
pub struct Delivery {
    pub(crate) key: InboxKey,
    pub(crate) envelope: Envelope,
    pub(crate) event: AnyEvent,
    pub(crate) held: Held,
}

/// A message that can never be applied, with what could be read of it.
pub(crate) struct Unreadable {
    pub held: Held,
    pub envelope: Option<(Envelope, InboxKey)>,
    pub reason: RejectedAs,
    pub error: Box<dyn Error + Send + Sync>,
}

/// Why a message is rejected before any handler sees it. The names are what operators filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedAs {
    Undecodable,
    UnknownEvent,
    UnknownVersion,
    BreaksSchema,
    /// The code that reads this event panicked.
    ReaderPanicked,
    BeyondDedupWindow,
    ClockSkew,
}

impl RejectedAs {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownEvent => "unknown-event",
            Self::UnknownVersion => "unknown-version",
            Self::BreaksSchema => "breaks-schema",
            Self::ReaderPanicked => "reader-panicked",
            Self::BeyondDedupWindow => "beyond-dedup-window",
            Self::ClockSkew => "clock-skew",
        }
    }
}

/// An event further ahead than this comes from a producer whose clock is wrong.
const LATEST: Duration = Duration::hours(24);

pub(crate) fn decode(
    consumer: &Consumer,
    window: &Window,
    now: OffsetDateTime,
    held: Held,
) -> Result<(Arc<dyn AnyHandler>, Delivery), Box<Unreadable>> {
    let (envelope, key) = match Envelope::read(unwrap_notification(&held.message.body).as_str()) {
        Ok(read) => read,
        Err(error) => return Err(Box::new(undecodable(held, error))),
    };
    match accept(consumer, window, now, &envelope, key) {
        Ok((handler, event)) => Ok((handler, Delivery { key, envelope, event, held })),
        Err(Refusal { reason, error }) => {
            Err(Box::new(Unreadable { held, envelope: Some((envelope, key)), reason, error }))
        }
    }
}

/// Why a worker would not give an event to a handler.
#[derive(Debug)]
pub struct Refusal {
    pub reason: RejectedAs,
    /// Quotes nothing of the payload.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Refusal {
    fn new(reason: RejectedAs, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason, error: error.into() }
    }
}

/// What a worker of this consumer would do with an event before its handler sees it; for tools that are about to send
/// one. `oldest` is where the inbox's window starts.
pub fn preflight(
    consumer: &Consumer,
    oldest: OffsetDateTime,
    now: OffsetDateTime,
    envelope: &Envelope,
    key: InboxKey,
) -> Result<(), Refusal> {
    accept(consumer, &Window::from(oldest), now, envelope, key).map(drop)
}

fn accept(
    consumer: &Consumer,
    window: &Window,
    now: OffsetDateTime,
    envelope: &Envelope,
    key: InboxKey,
) -> Result<(Arc<dyn AnyHandler>, AnyEvent), Refusal> {
    let Some(handler) = consumer.handler(&envelope.event_type) else {
        let error = format!("{} has no handler for this type of event", consumer.name());
        return Err(Refusal::new(RejectedAs::UnknownEvent, error));
    };
    check_time(key, window, now).map_err(|(reason, error)| Refusal::new(reason, error))?;
    match fenced(|| handler.read(envelope)) {
        Some(Ok(event)) => Ok((handler.clone(), event)),
        Some(Err(error @ PayloadError::UnknownVersion { .. })) => Err(Refusal::new(RejectedAs::UnknownVersion, error)),
        Some(Err(error @ PayloadError::Unreadable(_))) => Err(Refusal::new(RejectedAs::BreaksSchema, error)),
        None => Err(Refusal::new(RejectedAs::ReaderPanicked, format!("{} panicked while reading", handler.name()))),
    }
}

/// `None` where `read` panics. Payload types and upcasters are written anew for every event, and messages are read on
/// the task that polls: unwinding it would end the worker, and the next one, until the queue gave the message up without
/// a reason. Reading is pure, so nothing is left half done; and what panics once panics on every delivery, so there is
/// nothing to try again before the code is mended, when a replay reads the event.
fn fenced<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

/// Whether the inbox can still tell a copy of this event, and will be able to.
pub(crate) fn check_time(key: InboxKey, window: &Window, now: OffsetDateTime) -> Result<(), (RejectedAs, String)> {
    let (time, oldest) = (key.time(), window.oldest());
    if time < oldest {
        let error = format!("the event is of {time}; whether it was applied is known only from {oldest} on");
        return Err((RejectedAs::BeyondDedupWindow, error));
    }
    if time > now + LATEST {
        let error = format!("the event is of {time}, which is more than 24 hours ahead of this worker's {now}");
        return Err((RejectedAs::ClockSkew, error));
    }
    Ok(())
}

fn undecodable(held: Held, error: EnvelopeError) -> Unreadable {
    Unreadable { held, envelope: None, reason: RejectedAs::Undecodable, error: error.into() }
}

impl Delivery {
    pub(crate) fn event_time(&self) -> OffsetDateTime {
        self.envelope.time.unwrap_or_else(|| self.key.time())
    }
}
