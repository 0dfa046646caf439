//! When a batch begins: at once, or when it is about as large as it gets. No IO.
//!
//! Batches grow with the load. What has come together goes to its handler as soon as that handler has nothing to do; beside
//! a running batch another begins when it is full, or when its first event has waited for [`LINGER`]. While polls come back
//! full, more is on its way for certain: then a batch fills up first, unless nothing has come for [`QUIET`]. So an idle
//! worker adds no wait, and a busy one makes few large transactions of many small ones.
//!
//! Not each poll of a backlog is full: SQS looks at some of its servers, and polls at the same time take from each other. So
//! one that was full counts for [`RECENT`].
//!
//! Invariant: no event waits here for longer than [`FILL`].

use std::time::Duration;

use tokio::time::Instant;

/// How long a batch waits to fill while another one for its handler runs.
const LINGER: Duration = Duration::from_millis(25);
/// How long it waits at the most while the queue is known to hold more. In that time it fills at a thousand events a
/// second, and an event that waited in a backlog has waited longer before.
const FILL: Duration = Duration::from_millis(100);
/// Two round trips to SQS, and some time for acknowledgements, which have their turn at the queue as well. When nothing came
/// for as long, the last poll that was full has left nothing behind.
const QUIET: Duration = Duration::from_millis(50);

/// A few polls. What is over by then was no backlog.
const RECENT: Duration = Duration::from_millis(100);

/// What waits for a handler that applies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    /// Since when its first event waits.
    pub since: Instant,
    /// How many may go.
    pub ready: usize,
    /// With as many there is nothing to wait for.
    pub enough: usize,
    /// When the last event came, for whichever handler.
    pub last_arrival: Instant,
    /// Whether another batch for this handler runs.
    pub beside_another: bool,
    /// How long ago a poll came back full.
    pub since_full_poll: Option<Duration>,
}

impl Filling {
    /// Not before this; `None` where nothing speaks for waiting.
    pub fn until(self) -> Option<Instant> {
        if self.ready >= self.enough {
            return None;
        }
        let beside_another = self.beside_another.then_some(self.since + LINGER);
        let more_to_come = self.since_full_poll.is_some_and(|age| age < RECENT);
        let filling = more_to_come.then(|| (self.last_arrival + QUIET).min(self.since + FILL));
        beside_another.max(filling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling(since: Instant) -> Filling {
        Filling { since, ready: 30, enough: 100, last_arrival: since, beside_another: false, since_full_poll: None }
    }

    #[test]
    fn an_idle_worker_waits_for_nothing() {
        assert_eq!(filling(Instant::now()).until(), None);
        let after_a_backlog = Filling { since_full_poll: Some(RECENT), ..filling(Instant::now()) };
        assert_eq!(after_a_backlog.until(), None);
    }

    #[test]
    fn a_full_batch_waits_for_nothing() {
        let full = Filling {
            ready: 100,
            beside_another: true,
            since_full_poll: Some(Duration::ZERO),
            ..filling(Instant::now())
        };
        assert_eq!(full.until(), None);
    }

    #[test]
    fn beside_another_batch_it_waits_for_a_while() {
        let since = Instant::now();
        assert_eq!(Filling { beside_another: true, ..filling(since) }.until(), Some(since + LINGER));
    }

    #[test]
    fn in_a_backlog_it_fills_while_events_keep_coming_but_not_for_ever() {
        let since = Instant::now();
        let backlog = Filling { since_full_poll: Some(Duration::ZERO), ..filling(since) };
        assert_eq!(backlog.until(), Some(since + QUIET));
        let coming = Filling { last_arrival: since + FILL / 4, ..backlog };
        assert_eq!(coming.until(), Some(since + FILL / 4 + QUIET));
        let trickling = Filling { last_arrival: since + FILL, ..backlog };
        assert_eq!(trickling.until(), Some(since + FILL));
        assert_eq!(Filling { beside_another: true, ..backlog }.until(), Some(since + QUIET.max(LINGER)));
    }
}
