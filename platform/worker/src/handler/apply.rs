use std::{error::Error, time::Duration};

use async_trait::async_trait;
use schemas::Newest;
use sqlx::PgConnection;

use super::{HandlerError, Received, Verdict};

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
    /// hundred statements. Locks rows in a fixed order, so that two workers can't deadlock. Events of one subject come in
    /// the order of their versions, as far as the worker has them in hand.
    ///
    /// Answers a verdict per event, at its position. An error rolls all of them back.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, Self::Event>],
    ) -> Result<Vec<Verdict>, HandlerError>;

    /// How long one call may take; `None` leaves it to the worker's settings.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Asks whether what this handler needs beside its database answers again, after it has said
    /// [`HandlerError::Unavailable`]. It touches no event. The database itself is asked by the worker.
    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}
