//! What the relay measures.
//!
//! `outbox_*` tell of the table, by names of our own; what went to the bus is counted by OpenTelemetry's conventions for
//! messaging, so that dashboards for those know it.

use messaging::{EntryError, MessageId};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

use crate::trace::error_type;

const SENT: &str = "messaging_client_sent_messages_total";

/// Says what each metric means. Call it once, in a process that relays.
pub fn describe_metrics() {
    describe_counter!("outbox_published_total", Unit::Count, "Events that the bus has taken");
    describe_counter!("outbox_publish_backed_off_total", Unit::Count, "Publications that failed and are tried again");
    describe_counter!("outbox_publish_refused_total", Unit::Count, "Events that the bus refused for good");
    describe_counter!("outbox_leases_lost_total", Unit::Count, "Rows that another relay settled after a lease ran out");
    describe_histogram!("outbox_claim_rows", Unit::Count, "Rows to a claim");
    describe_gauge!("outbox_pending", Unit::Count, "Events that are not published yet, delayed ones included");
    describe_gauge!("outbox_delayed", Unit::Count, "Events that are not to be published yet");
    describe_gauge!("outbox_failed", Unit::Count, "Events that the bus refused and nobody has seen to");
    describe_gauge!(
        "outbox_oldest_pending_seconds",
        Unit::Seconds,
        "How long the oldest event that may be published has been waiting for it"
    );
    describe_counter!(SENT, Unit::Count, "Messages that were sent to the bus, by topic; with error_type, in vain");
}

/// Counts by entry: a request that is answered may have failed for some.
pub(crate) fn count_sent(system: &'static str, topic: &str, results: &[Result<MessageId, EntryError>]) {
    for result in results {
        let mut labels = vec![
            ("messaging_system", system.to_owned()),
            ("messaging_operation_name", "send".to_owned()),
            ("messaging_destination_name", topic.to_owned()),
        ];
        labels.extend(result.as_ref().err().map(|error| ("error_type", error_type(error).to_owned())));
        counter!(SENT, &labels).increment(1);
    }
}
