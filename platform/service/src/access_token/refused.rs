//! A token that is not taken: counted, said why in the log, and answered without a word of that.

use std::fmt;

use metrics::{Unit, counter, describe_counter};

use crate::Problem;

/// 401, for a token that was shown; `why` is for the log.
pub fn refused(why: impl fmt::Display) -> Problem {
    counter!("access_tokens_refused_total").increment(1);
    tracing::debug!(error = %why, "an access token was refused");
    Problem::unauthenticated(true)
}

pub(super) fn describe_metrics() {
    describe_counter!(
        "access_tokens_refused_total",
        Unit::Count,
        "Access tokens that were refused: not ours, expired, or of a session, a version or an account that has ended"
    );
    // It is an alarm by its first increase, and a counter that appears with that has none.
    counter!("access_tokens_refused_total").increment(0);
}
