//! A worker's look at its own queues when it starts: `waypost doctor`, as far as a worker may look.

use messaging::{Bus, Looked, Subscriber};

use super::InboxSettings;
use crate::doctor::{Check, Finding, Needs};

/// One line for each finding. Nothing here keeps a worker from starting: what makes it impossible has failed already.
pub async fn warn_of_findings(bus: &dyn Bus, subscriber: &Subscriber, settings: &InboxSettings) {
    let needs = Needs::of(subscriber, bus.names(), settings);
    let facts = match bus.inspect(&subscriber.consumer).await {
        Ok(facts) => facts,
        Err(error) => {
            tracing::warn!(error = %service::ErrorChain(&error), "could not look at the queues before reading them");
            return;
        }
    };
    for looked in [&facts.queue, &facts.dead_letters] {
        if let Looked::Denied { call, code } = looked {
            tracing::warn!(%call, %code, "may not look at a queue; `waypost topology policies` says what a worker needs");
        }
    }
    for check in needs.judge(&facts) {
        let Check { id, about, .. } = &check;
        if let Some((_, Finding { found, should_be, remedy, why })) = check.finding() {
            tracing::warn!(id, about, found, should_be, remedy, "{about} is not as a worker needs it: {why}");
        }
    }
}
