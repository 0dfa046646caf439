//! The metrics of `docs/metrics.md` that are auth-service's own. They are recorded where they arise; none has a label that
//! is of a person.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

use crate::account_requests;

/// Says what each metric means, to whoever exports them. Call it once, in a process that runs auth-service.
pub fn describe_metrics() {
    describe_counter!("logins_total", Unit::Count, "Attempts to sign in, by what became of them");
    describe_counter!("refreshes_total", Unit::Count, "Refresh tokens that were shown, by what became of them");
    describe_counter!(
        "refresh_token_reuses_total",
        Unit::Count,
        "Sessions that were ended because a refresh token was used again"
    );
    describe_histogram!("password_hash_seconds", Unit::Seconds, "Computing one hash of a password, without its wait");
    describe_counter!(
        "password_hashes_refused_total",
        Unit::Count,
        "Hashes that were not computed because too many waited for theirs: each was answered with 503"
    );
    describe_gauge!(
        "erasures_open_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest erasure that some service has not answered, as of the last look, which is hourly"
    );
    describe_counter!(
        "account_requests_total",
        Unit::Count,
        "Requests for mails that were taken in hand, by what was asked for and what became of it"
    );
    describe_gauge!(
        "account_requests_waiting",
        Unit::Count,
        "Requests for mails that are written down and not done yet"
    );
    describe_gauge!("account_requests_oldest_seconds", Unit::Seconds, "Age of the oldest of them");
    describe_counter!("retention_rows_total", Unit::Count, "Rows that were deleted or made coarser for their age");
    // Each is an alarm by its first increase, and a counter that appears with that has none.
    for name in ["refresh_token_reuses_total", "password_hashes_refused_total"] {
        counter!(name).increment(0);
    }
    account_requests::begin_counting();
}
