//! What each setting of a topology means to a worker, as a table.

use crate::doctor::check::Severity::{self, Error, Warning};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Queue,
    DeadLetters,
    Undelivered,
    Subscription,
}

/// What one setting of a resource is about.
#[derive(Clone, Copy)]
pub struct Rule {
    pub kind: Kind,
    /// As the comparison calls it, or a field of it.
    pub setting: &'static str,
    pub id: &'static str,
    pub severity: Severity,
    pub why: &'static str,
    pub on: On,
}

/// Whose comparison knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    SnsSqs,
    Postgres,
    Both,
}

impl On {
    pub fn covers(self, embedded: bool) -> bool {
        match self {
            Self::Both => true,
            Self::SnsSqs => !embedded,
            Self::Postgres => embedded,
        }
    }
}

const fn rule(kind: Kind, setting: &'static str, id: &'static str, severity: Severity, why: &'static str) -> Rule {
    Rule { kind, setting, id, severity, why, on: On::SnsSqs }
}

const fn everywhere(rule: Rule) -> Rule {
    Rule { on: On::Both, ..rule }
}

const fn in_postgres(rule: Rule) -> Rule {
    Rule { on: On::Postgres, ..rule }
}

pub const EXISTENCE: &str = "existence";
const COUNT: &str = "RedrivePolicy.maxReceiveCount";
const ENCRYPTION: (&str, &str, &str) =
    ("SqsManagedSseEnabled", "encryption", "messages hold personal data, and would lie on SQS's disks in the clear");
const LOST: &str = "what SNS can't deliver is lost, and nobody is told";
const SENDERS: &str = "SNS is not let in, or others are: the policy names the topics that may send (aws:SourceArn)";
const RETENTION: &str = "how long messages are kept decides how long copies have to be known";

/// In the order in which they are told. Where two rows serve a setting, the longer name is tried first.
pub const RULES: &[Rule] = &[
    everywhere(rule(Kind::Topic, EXISTENCE, "topic-exists", Error, "producers have nowhere to publish to")),
    everywhere(rule(
        Kind::Queue,
        EXISTENCE,
        "queue-exists",
        Error,
        "there is nothing to read, and SNS has nowhere to deliver",
    )),
    rule(Kind::Queue, "Policy", "queue-policy", Error, SENDERS),
    everywhere(rule(
        Kind::Queue,
        COUNT,
        "max-receive-count",
        Warning,
        "it decides how often a message may kill its worker before it is put aside",
    )),
    everywhere(rule(
        Kind::Queue,
        "RedrivePolicy",
        "redrive-policy",
        Error,
        "a message that kills its worker comes back for as long as the queue keeps it, and is then lost",
    )),
    rule(
        Kind::Queue,
        "VisibilityTimeout",
        "visibility-timeout",
        Warning,
        "whoever receives without naming a time, as other tools do, hides messages for longer or shorter than workers expect",
    ),
    rule(Kind::Queue, "MessageRetentionPeriod", "retention", Warning, RETENTION),
    rule(Kind::Queue, ENCRYPTION.0, ENCRYPTION.1, Warning, ENCRYPTION.2),
    everywhere(rule(
        Kind::DeadLetters,
        EXISTENCE,
        "dead-letter-queue-exists",
        Error,
        "what can't be applied has nowhere to go, and stays in the worker's hands",
    )),
    rule(
        Kind::DeadLetters,
        "RedriveAllowPolicy",
        "redrive-allow-policy",
        Error,
        "it says which queues may put their dead letters here: this one has to, and no other",
    ),
    in_postgres(rule(
        Kind::DeadLetters,
        "RedrivePolicy",
        "dead-letter-redrive",
        Error,
        "looking at dead letters receives them, so looking often enough would push them on to where nobody looks",
    )),
    rule(Kind::DeadLetters, "MessageRetentionPeriod", "dead-letter-retention", Warning, RETENTION),
    rule(Kind::DeadLetters, ENCRYPTION.0, ENCRYPTION.1, Warning, ENCRYPTION.2),
    rule(Kind::Undelivered, EXISTENCE, "undelivered-queue-exists", Error, LOST),
    rule(Kind::Undelivered, "Policy", "queue-policy", Error, LOST),
    rule(Kind::Undelivered, "MessageRetentionPeriod", "retention", Warning, RETENTION),
    rule(Kind::Undelivered, ENCRYPTION.0, ENCRYPTION.1, Warning, ENCRYPTION.2),
    everywhere(rule(
        Kind::Subscription,
        EXISTENCE,
        "subscription-exists",
        Error,
        "there is a handler for these events, and none arrives",
    )),
    rule(
        Kind::Subscription,
        "RawMessageDelivery",
        "raw-delivery",
        Warning,
        "a message comes wrapped in a notification, larger than it was sent, and the largest no longer fit",
    ),
    rule(
        Kind::Subscription,
        "FilterPolicyScope",
        "filter-scope",
        Error,
        "events say their type in an attribute, so a filter of bodies lets nothing through",
    ),
    everywhere(rule(
        Kind::Subscription,
        "FilterPolicy",
        "filter-policy",
        Error,
        "an event that is kept out is never applied, and one that has no handler dies",
    )),
    rule(Kind::Subscription, "RedrivePolicy", "subscription-redrive", Error, LOST),
];

/// By a setting, or a field of one.
pub fn rule_for(kind: Kind, path: &str) -> Option<&'static Rule> {
    let is_meant = |rule: &&Rule| {
        let rest = path.strip_prefix(rule.setting);
        rule.kind == kind && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    RULES.iter().find(is_meant)
}
