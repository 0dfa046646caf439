//! The metrics that user-service's API has beside those of every service. They are recorded where they arise; none has a label
//! that is of a person.

use metrics::{Unit, counter, describe_counter};

/// Says what each metric means, to whoever exports them. Call it once, in a process that runs user-service's API.
pub fn describe_metrics() {
    describe_counter!(
        "card_numbers_refused_total",
        Unit::Count,
        "Requests that were refused because they held what may be the number of a card"
    );
    describe_counter!(
        "replica_fallbacks_total",
        Unit::Count,
        "Lists that were read from the primary because the replica did not answer, or not in time"
    );
    describe_counter!("retention_rows_total", Unit::Count, "Rows that were deleted for their age");
    // Each is an alarm by its first increase, and a counter that appears with that has none.
    for name in ["card_numbers_refused_total", "replica_fallbacks_total"] {
        counter!(name).increment(0);
    }
}
