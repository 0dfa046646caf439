//! The metrics of `docs/metrics.md` that are the mailer's own. None has a label that is of a person.

use metrics::{counter, describe_counter};

use crate::mail::Mail;

const SENT: &str = "mails_sent_total";
const EXPIRED: &str = "mails_expired_total";
const UNOPENED: &str = "mails_unopened_total";

/// Says what the metrics of a mailer mean, to whoever exports them.
pub fn describe_metrics() {
    describe_counter!(SENT, "Mails that a mail server took, or that were written to the folder");
    describe_counter!(EXPIRED, "Mails that were not sent because their link had expired");
    describe_counter!(UNOPENED, "Tokens that could not be opened");
}

pub(crate) fn sent(mail: Mail) {
    counter!(SENT, "mail" => mail.as_str()).increment(1);
}

pub(crate) fn expired(mail: Mail) {
    counter!(EXPIRED, "mail" => mail.as_str()).increment(1);
}

pub(crate) fn unopened(mail: Mail, reason: &'static str) {
    counter!(UNOPENED, "mail" => mail.as_str(), "reason" => reason).increment(1);
}
