//! What a consumer writes: handlers, and how their failures are told apart.
//!
//! There are two promises, each with a name of its own. [`ApplyEvents`] changes this service's tables in the transaction
//! that holds the claims: exactly once in effect. [`PerformEffect`] does something outside, such as sending mail, with no
//! transaction held across it: at least once, with the event's id as the idempotency key. An `async fn` can stand in for
//! the first ([`ConsumerBuilder::apply_each`](crate::ConsumerBuilder::apply_each)), and [`Middleware`] goes around both.

mod apply;
mod each;
mod middleware;
mod perform;

use std::{error::Error, time::Duration};

use schemas::{InboxKey, Sequence};
use time::OffsetDateTime;

pub use apply::ApplyEvents;
pub use each::ApplyEach;
pub(crate) use each::Each;
pub use middleware::{Call, Middleware, Next};
pub use perform::{Effect, PerformEffect};

type Cause = Box<dyn Error + Send + Sync>;

/// One event, as a handler sees it.
#[derive(Debug)]
pub struct Received<'a, E> {
    pub event: &'a E,
    /// The same for every copy of the event: the idempotency key for whatever the handler calls.
    pub key: InboxKey,
    pub source: &'a str,
    pub time: OffsetDateTime,
    /// The subject's version; versions compare within one `source` only.
    pub sequence: Option<Sequence>,
}

/// What became of one event of a batch whose transaction commits.
#[derive(Debug)]
pub enum Verdict {
    Applied,
    /// Something newer was applied before: nothing changed, and nothing is wrong.
    Stale,
    /// This event can never be applied. The handler has changed nothing for it.
    Reject(Cause),
    /// This event can't be applied yet. The handler has changed nothing for it.
    Retry(Cause),
}

/// Why a batch could not be applied, or an effect not performed. Which one it is decides what happens to the messages.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// May work later: bisected to find the event that isn't ready, which backs off and is dead-lettered when its attempts
    /// run out. A verdict per event says the same without bisecting.
    #[error("could not be applied yet")]
    Retry(#[source] Cause),
    /// Can never work: the batch is bisected, and the event at fault goes to the dead-letter queue at once.
    #[error("can never be applied")]
    Reject(#[source] Cause),
    /// Something this handler needs is down: messages are held, no attempt is counted, and the handler's `probe` is asked
    /// until the dependency is back.
    #[error("a dependency is not available")]
    Unavailable(#[source] Cause),
    /// Told apart by its SQLSTATE.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// Took longer than it may, and was cancelled. Made by the worker; bisected, for it may have been one event that took
    /// so long, or too many at a time.
    #[error("took longer than {0:?}")]
    TimedOut(Duration),
    /// Nobody has said: bisected like a Reject to find the event at fault, which then is tried again.
    #[error("failed")]
    Unclassified(#[source] Cause),
}

impl HandlerError {
    pub fn retry(error: impl Into<Cause>) -> Self {
        Self::Retry(error.into())
    }

    pub fn reject(error: impl Into<Cause>) -> Self {
        Self::Reject(error.into())
    }

    pub fn unavailable(error: impl Into<Cause>) -> Self {
        Self::Unavailable(error.into())
    }

    pub fn unclassified(error: impl Into<Cause>) -> Self {
        Self::Unclassified(error.into())
    }
}
