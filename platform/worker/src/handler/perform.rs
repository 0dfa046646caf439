use std::{error::Error, time::Duration};

use async_trait::async_trait;
use schemas::Newest;

use super::{HandlerError, Received};

/// Does something outside this service's tables for an event: at least once.
///
/// No transaction is held while it works. When it returns, the event is recorded in `event_logs`, and a copy that comes
/// later is acknowledged without another call. A worker that dies between the effect and its record performs it again:
/// where that would hurt, pass [`Received::key`] on as the idempotency key of whatever is called.
#[async_trait]
pub trait PerformEffect: Send + Sync + 'static {
    type Event: Newest;

    /// What the handler does (`send_welcome_mail`), as it is called in logs, metrics and tables.
    const NAME: &'static str;

    /// The fields of the payload that the handler reads, as JSON pointers.
    const READS: &'static [&'static str];

    /// How many are performed at a time in one worker.
    const AT_A_TIME: usize = 8;

    /// Performs the effect of one event.
    async fn perform(&self, event: &Received<'_, Self::Event>) -> Result<Effect, HandlerError>;

    /// How long one call may take; `None` leaves it to the worker's settings.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Asks whether what this handler needs answers again, after it has said [`HandlerError::Unavailable`]. It touches no
    /// event: a mail server is greeted, not sent a mail.
    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

/// What became of an event that failed in nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Performed,
    /// There was nothing (more) to do: a link that has expired, a user who has gone. Recorded like the other.
    NotNeeded,
}
