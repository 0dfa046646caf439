//! What a worker measures: every metric of this crate is named here, once.
//!
//! Where OpenTelemetry's messaging conventions have a name, it is that one, as Prometheus writes it; what they have no name
//! for begins with `waypost_worker_`. Calls of the queue's API are measured by `messaging`, one by one.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/>.

use std::time::Duration;

use messaging::Counts;
use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use schemas::Envelope;

use crate::transaction::failure::FailureClass;

/// Whose messages: the labels that all of a worker's messaging metrics have. Gauges that are set have the consumer's, since
/// one process may run several workers; what is counted up adds up.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub system: &'static str,
    pub queue: String,
    pub consumer: &'static str,
}

/// Says what each metric means, for `# HELP`. Once in a process, after its recorder is there.
pub fn describe_metrics() {
    describe_counter!("messaging_client_consumed_messages_total", Unit::Count, "Messages received, copies included");
    describe_histogram!(
        "messaging_process_duration_seconds",
        Unit::Seconds,
        "One call of a handler, with its transaction"
    );
    describe_histogram!("waypost_worker_batch_events", Unit::Count, "Events that a handler was called with together");
    describe_counter!(
        "waypost_worker_events_total",
        Unit::Count,
        "Events by what became of them: applied, stale, duplicate"
    );
    describe_counter!(
        "waypost_worker_retries_total",
        Unit::Count,
        "Failed attempts after which an event is tried again"
    );
    describe_counter!(
        "waypost_worker_dead_lettered_total",
        Unit::Count,
        "Messages sent to the dead-letter queue, by reason"
    );
    describe_counter!(
        "waypost_worker_refailed_total",
        Unit::Count,
        "Messages that were replayed from the dead-letter queue and came back to it, by reason"
    );
    describe_counter!("waypost_worker_released_total", Unit::Count, "Messages handed back to the queue");
    describe_counter!(
        "waypost_worker_suspects_total",
        Unit::Count,
        "Messages that ran alone because workers may have died of them"
    );
    describe_counter!(
        "waypost_worker_upcasts_total",
        Unit::Count,
        "Events that came in an older version and were raised"
    );
    describe_counter!("waypost_worker_poll_failures_total", Unit::Count, "Polls that the queue did not answer");
    describe_counter!("waypost_worker_lease_renewals_total", Unit::Count, "Leases that were extended");
    describe_counter!(
        "waypost_worker_leases_lost_total",
        Unit::Count,
        "Leases that ran out or were void: their work was cancelled"
    );
    describe_histogram!(
        "waypost_worker_acknowledgement_seconds",
        Unit::Seconds,
        "From the commit of an event to the queue's answer that its message is gone"
    );
    describe_histogram!(
        "waypost_worker_event_lag_seconds",
        Unit::Seconds,
        "From the time of an event to the commit that applied it"
    );
    describe_gauge!(
        "waypost_worker_in_flight_messages",
        Unit::Count,
        "Messages held under a lease, waiting ones included"
    );
    describe_gauge!("waypost_worker_polls_wanted", Unit::Count, "Polls that may run in parallel, by the load");
    describe_gauge!("waypost_worker_last_poll_timestamp_seconds", Unit::Seconds, "When the queue last answered a poll");
    describe_gauge!(
        "waypost_worker_oldest_message_age_seconds",
        Unit::Seconds,
        "Age of the oldest message that is held, or was handed back to be tried again; 0 without any"
    );
    describe_gauge!(
        "waypost_worker_backlog_messages",
        Unit::Count,
        "Messages in the queue and its dead-letter queue, roughly"
    );
    describe_gauge!("waypost_worker_circuit_open", Unit::Count, "1 while a dependency is down and messages are held");
}

impl Labels {
    /// Counters that stand still at zero are told from ones that nobody counts.
    pub fn begin(&self) {
        leases_renewed(0);
        counter!("waypost_worker_leases_lost_total").increment(0);
        counter!("waypost_worker_suspects_total").increment(0);
        counter!("waypost_worker_poll_failures_total").increment(0);
        released(0);
        self.oldest(Duration::ZERO);
        self.polls_wanted(1);
    }

    pub fn received(&self, messages: usize) {
        counter!(
            "messaging_client_consumed_messages_total",
            "messaging_system" => self.system,
            "messaging_destination_name" => self.queue.clone(),
            "messaging_consumer_group_name" => self.consumer,
        )
        .increment(messages as u64);
    }

    /// One call of a handler; `error` is empty where it succeeded.
    pub fn called(&self, handler: &'static str, events: usize, took: Duration, error: &'static str) {
        histogram!("waypost_worker_batch_events", "handler" => handler).record(events as f64);
        histogram!(
            "messaging_process_duration_seconds",
            "messaging_system" => self.system,
            "messaging_destination_name" => self.queue.clone(),
            "messaging_consumer_group_name" => self.consumer,
            "messaging_operation_name" => handler,
            "error_type" => error,
        )
        .record(took.as_secs_f64());
    }

    pub fn polls_wanted(&self, polls: usize) {
        gauge!("waypost_worker_polls_wanted", "messaging_consumer_group_name" => self.consumer).set(polls as f64);
    }

    pub fn last_poll(&self, at: time::OffsetDateTime) {
        let gauge = gauge!(
            "waypost_worker_last_poll_timestamp_seconds",
            "messaging_consumer_group_name" => self.consumer,
        );
        gauge.set(at.unix_timestamp() as f64);
    }

    pub fn oldest(&self, age: Duration) {
        gauge!("waypost_worker_oldest_message_age_seconds", "messaging_consumer_group_name" => self.consumer)
            .set(age.as_secs_f64());
    }

    pub fn backlog(&self, queue: Counts, dead_letters: Counts) {
        let of = |state: &'static str, messages: u64| {
            gauge!("waypost_worker_backlog_messages", "messaging_destination_name" => self.queue.clone(), "state" => state)
                .set(messages as f64);
        };
        of("visible", queue.visible);
        of("in_flight", queue.in_flight);
        of("dead", dead_letters.visible + dead_letters.in_flight);
    }
}

/// What became of events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Became {
    Applied,
    Stale,
    Duplicate,
}

pub(crate) fn events(handler: &'static str, became: Became, count: usize) {
    let outcome = match became {
        Became::Applied => "applied",
        Became::Stale => "stale",
        Became::Duplicate => "duplicate",
    };
    if count > 0 {
        counter!("waypost_worker_events_total", "handler" => handler, "outcome" => outcome).increment(count as u64);
    }
}

/// Of the events of one batch.
pub(crate) fn lags(handler: &'static str, lags: impl Iterator<Item = time::Duration>) {
    let histogram = histogram!("waypost_worker_event_lag_seconds", "handler" => handler);
    lags.for_each(|lag| histogram.record(lag.as_seconds_f64().max(0.0)));
}

pub(crate) fn retried(handler: &'static str, class: FailureClass) {
    counter!("waypost_worker_retries_total", "handler" => handler, "class" => class.as_str()).increment(1);
}

pub(crate) fn dead_lettered(reason: &str) {
    counter!("waypost_worker_dead_lettered_total", "reason" => reason.to_owned()).increment(1);
}

/// An event that was replayed and died again.
pub(crate) fn refailed(reason: &str) {
    counter!("waypost_worker_refailed_total", "reason" => reason.to_owned()).increment(1);
}

pub(crate) fn released(messages: usize) {
    counter!("waypost_worker_released_total").increment(messages as u64);
}

pub(crate) fn suspect() {
    counter!("waypost_worker_suspects_total").increment(1);
}

/// Where this stands still for as long as a queue keeps messages, the old version is dead and can be removed.
pub(crate) fn upcast(envelope: &Envelope) {
    let (event_type, version) = (envelope.event_type.clone(), envelope.schemaversion.to_string());
    counter!("waypost_worker_upcasts_total", "event_type" => event_type, "version" => version).increment(1);
}

pub(crate) fn poll_failed() {
    counter!("waypost_worker_poll_failures_total").increment(1);
}

pub(crate) fn leases_renewed(leases: usize) {
    counter!("waypost_worker_lease_renewals_total").increment(leases as u64);
}

pub(crate) fn lease_lost() {
    counter!("waypost_worker_leases_lost_total").increment(1);
}

pub(crate) fn in_flight(consumer: &'static str) -> Gauge {
    gauge!("waypost_worker_in_flight_messages", "messaging_consumer_group_name" => consumer)
}

/// The messages of one request.
pub(crate) fn acknowledged(after: impl Iterator<Item = Duration>) {
    let histogram = histogram!("waypost_worker_acknowledgement_seconds");
    after.for_each(|after| histogram.record(after.as_secs_f64()));
}

pub(crate) fn circuit(consumer: &'static str, dependency: &'static str, open: bool) {
    gauge!("waypost_worker_circuit_open", "messaging_consumer_group_name" => consumer, "dependency" => dependency)
        .set(f64::from(u8::from(open)));
}
