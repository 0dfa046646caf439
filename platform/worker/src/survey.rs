//! What can only be seen by looking from time to time: how much waits, and how old the oldest message is.
//!
//! SQS tells an age of its own, but not of a message that is hidden: one that fails again and again hides from it. The age
//! here is that of what this worker holds or has handed back, by the time at which it was first sent.

use std::{sync::Arc, time::Duration};

use messaging::Queue;
use schemas::Clock;
use tokio_util::sync::CancellationToken;

use crate::{measure::Labels, message::lease::Leases, transaction::failure::chain};

pub(crate) struct Survey {
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
    pub leases: Arc<Leases>,
    pub labels: Labels,
    pub clock: Clock,
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Two requests each time, for every worker of a fleet.
const COUNT_EVERY: u32 = 30;

impl Survey {
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut looks = 0;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.look();
            if looks % COUNT_EVERY == 0 {
                stop.run_until_cancelled(self.count()).await;
            }
            looks = looks.wrapping_add(1);
        }
    }

    fn look(&self) {
        let age = self.leases.oldest().map(|sent_at| self.clock.now() - sent_at);
        // Another machine's clock may be ahead.
        self.labels.oldest(age.and_then(|age| age.try_into().ok()).unwrap_or_default());
    }

    async fn count(&self) {
        match tokio::try_join!(self.queue.counts(), self.dead_letters.counts()) {
            Ok((queue, dead_letters)) => self.labels.backlog(queue, dead_letters),
            // The permission for it is not one that work depends on.
            Err(error) => tracing::debug!(error = chain(&error), "could not count what waits"),
        }
    }
}
