//! What a consumer writes: handlers, and how their failures are told apart.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use schemas::{InboxKey, Newest, Sequence};
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Changes this service's own tables, exactly once in effect.
///
/// The connection is inside the transaction that holds the claims in `event_logs`: what is written through it commits
/// with the claims or not at all. The handler doesn't commit, and does nothing outside that transaction.
#[async_trait]
pub trait ApplyEvents: Send + Sync + 'static {
    type Event: Newest;

    /// What the handler does (`record_profile`), as it is called in logs, metrics and tables.
    const NAME: &'static str;

    /// The fields of the payload that the handler reads, as JSON pointers (`/email`, `/price/currency`). With them a
    /// check of schemas can say whom a change would break.
    const READS: &'static [&'static str];

    /// Applies events that were never applied before, all together: one statement for a hundred rows rather than a
    /// hundred statements. Locks rows in a fixed order, so that two workers can't deadlock.
    ///
    /// Answers a verdict per event, at its position. An error rolls all of them back.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, Self::Event>],
    ) -> Result<Vec<Verdict>, HandlerError>;
}

/// One event, as a handler sees it.
#[derive(Debug)]
pub struct Received<'a, E> {
    pub event: &'a E,
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
    Reject(Box<dyn Error + Send + Sync>),
    /// This event can't be applied yet. The handler has changed nothing for it.
    Retry(Box<dyn Error + Send + Sync>),
}

/// Why a batch could not be applied. Which one it is decides what happens to the messages.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// May work later: bisected to find the event that isn't ready, which backs off and is dead-lettered when its attempts
    /// run out. A verdict per event says the same without bisecting.
    #[error("could not be applied yet")]
    Retry(#[source] Box<dyn Error + Send + Sync>),
    /// Can never work: the batch is bisected, and the event at fault goes to the dead-letter queue at once.
    #[error("can never be applied")]
    Reject(#[source] Box<dyn Error + Send + Sync>),
    /// Something this handler needs is down: messages are held, no attempt is counted.
    #[error("a dependency is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Told apart by its SQLSTATE.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// Took longer than it may, and was cancelled. Made by the worker; bisected, for it may have been one event that took
    /// so long, or too many at a time.
    #[error("took longer than {0:?}")]
    TimedOut(Duration),
    /// Nobody has said: bisected like a Reject to find the event at fault, which then is tried again.
    #[error("failed")]
    Unclassified(#[source] Box<dyn Error + Send + Sync>),
}

impl HandlerError {
    pub fn retry(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Retry(error.into())
    }

    pub fn reject(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Reject(error.into())
    }

    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    pub fn unclassified(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unclassified(error.into())
    }
}
