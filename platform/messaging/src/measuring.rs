//! Calls of the bus, counted and timed as OpenTelemetry's conventions for messaging clients name such things.
//!
//! One histogram serves both: its count, by operation, is the number of API calls. A call's own retries are calls too,
//! since they are what a provider bills and what a server has to answer. Receives wait, so they are not to be averaged
//! with deletes: the operation is a label.

use std::time::Duration;

use metrics::{Unit, describe_histogram, histogram};

const DURATION: &str = "messaging_client_operation_duration_seconds";

/// Says what the metrics of this crate mean. To be called once, when there is a recorder.
pub fn describe_metrics() {
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "How long calls of the bus took, each attempt by itself, by system, operation and destination; error_type is empty where it went well"
    );
}

/// One attempt of a call.
pub(crate) struct Call<'a> {
    pub system: &'static str,
    /// As the API calls it.
    pub operation: &'a str,
    /// The name of a queue or topic; empty where the call is about none.
    pub destination: &'a str,
    /// A code, never a text: texts may quote what was sent. Empty where there was no error.
    pub error_type: &'a str,
}

impl Call<'_> {
    pub fn took(&self, elapsed: Duration) {
        let labels = [
            ("messaging_system", self.system.to_owned()),
            ("messaging_operation_name", self.operation.to_owned()),
            ("messaging_destination_name", self.destination.to_owned()),
            ("error_type", self.error_type.to_owned()),
        ];
        histogram!(DURATION, &labels).record(elapsed.as_secs_f64());
    }
}
