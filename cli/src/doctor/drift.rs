//! What a topology's comparison found, told as what it does to a worker and what mends it.
//!
//! The comparison itself is the bus's (`verify`). Here is what each of its settings means, as a table: every row is a
//! check of every resource of its kind, so what is as it should be can be told as well.

mod rules;

use std::collections::BTreeMap;

use messaging::{Difference, Extra, FieldChange, Names, Topology};

use self::rules::{EXISTENCE, Kind, RULES, Rule, rule_for};
use super::check::{
    Check, Finding,
    Severity::{self, Error, Warning},
};
use crate::remedy::APPLY;

/// A mark that is another's needs another prefix; one that is missing is set.
const MARK: &str = "mark";
/// The worker names its own wait with every receive.
const WAIT: &str = "ReceiveMessageWaitTimeSeconds";

/// Everything of a topology, whether or not something differs.
pub fn judge(
    topology: &Topology,
    names: &Names,
    embedded: bool,
    differences: &[Difference],
    extras: &[Extra],
) -> Vec<Check> {
    let resources = resources(topology, names, embedded);
    let mut findings = BTreeMap::new();
    let mut checks = Vec::new();
    for difference in differences {
        let kind = resources.iter().find(|(name, _)| *name == difference.resource).map(|(_, kind)| *kind);
        if difference.setting == WAIT {
            let found = difference.found.as_deref().unwrap_or("not set");
            let text = format!("{WAIT} is {found}: only a hint, the worker names its own wait");
            checks.push(Check::info("receive-wait", &difference.resource, text));
            continue;
        }
        for (id, severity, why, change) in told(difference, kind) {
            let key = (difference.resource.clone(), id);
            findings.entry(key).or_insert_with(|| (severity, why, remedy(id, difference), Vec::new())).3.push(change);
        }
    }
    for (resource, kind) in &resources {
        let is_missing =
            differences.iter().any(|difference| difference.resource == *resource && difference.is_missing());
        let of_kind = RULES.iter().filter(|rule| rule.kind == *kind && rule.on.covers(embedded));
        let marked = (*kind != Kind::Subscription).then_some(MARK);
        for id in of_kind.map(|rule| rule.id).chain(marked) {
            let is_found = findings.contains_key(&(resource.clone(), id));
            // Of what is not there nothing else can be said.
            if !is_found && !is_missing {
                checks.push(Check::ok(id, resource));
            }
        }
    }
    checks.extend(findings.into_iter().map(|((resource, id), (severity, why, remedy, changes))| {
        let joined = |each: fn(&FieldChange) -> String| changes.iter().map(each).collect::<Vec<_>>().join("; ");
        let found = joined(|change| text(&change.path, change.from.as_deref()));
        let should_be = joined(|change| text(&change.path, change.to.as_deref()));
        Check::found(severity, id, resource, Finding::new(found, should_be, why, remedy))
    }));
    let is_there = |queue: &str| differences.iter().all(|found| found.resource != queue || !found.is_missing());
    checks.extend(misdeliveries(extras, &resources, is_there));
    checks
}

/// What a difference is about. Several where its fields are about different things.
fn told(difference: &Difference, kind: Option<Kind>) -> Vec<(&'static str, Severity, &'static str, FieldChange)> {
    if difference.is_missing() {
        let (path, to) = (String::new(), Some("there".to_owned()));
        let change = FieldChange { path, from: Some("not there".to_owned()), to };
        return kind
            .and_then(|kind| rule_for(kind, EXISTENCE))
            .map(|r| (r.id, r.severity, r.why, change))
            .into_iter()
            .collect();
    }
    let fields = difference.fields().into_iter();
    // Of a policy that is not there at all, its fields are nothing by themselves.
    let has_fields = difference.found.as_deref().is_some_and(|found| found.starts_with('{'));
    let told = fields.map(|change| {
        let path = if has_fields { &change.path } else { &difference.setting };
        if let Some(rule) = kind.and_then(|kind| rule_for(kind, path)) {
            (rule.id, severity(rule, difference), rule.why, change)
        } else if is_mark_of_another(difference) {
            (MARK, Error, "another installation takes it for its own, and would change or remove it", change)
        } else if is_mark(difference) {
            (MARK, Warning, "without its mark it is not known as this installation's, and is never pruned", change)
        } else {
            ("setting", Warning, "it is not as the topology says", change)
        }
    });
    told.collect()
}

/// Where nothing says whose dead letters are taken, all are, and ours too.
fn severity(rule: &Rule, difference: &Difference) -> Severity {
    match rule.id {
        "redrive-allow-policy" if difference.found.is_none() => Warning,
        _ => rule.severity,
    }
}

fn is_mark(difference: &Difference) -> bool {
    difference.setting == "installation" || difference.setting.starts_with("tag ")
}

fn is_mark_of_another(difference: &Difference) -> bool {
    is_mark(difference) && difference.setting.ends_with("installation") && difference.found.is_some()
}

fn remedy(id: &str, difference: &Difference) -> String {
    match id {
        MARK if is_mark_of_another(difference) => "export WAYPOST_NAME_PREFIX=another-".to_owned(),
        _ => APPLY.to_owned(),
    }
}

fn text(path: &str, value: Option<&str>) -> String {
    match value {
        Some(value) if path.is_empty() => value.to_owned(),
        Some(value) => format!("{path} {value}"),
        None => format!("{path} not set"),
    }
}

/// In whose subscriptions something arrives that nobody handles.
fn misdeliveries(extras: &[Extra], resources: &[(String, Kind)], is_there: impl Fn(&str) -> bool) -> Vec<Check> {
    const ID: &str = "misdelivery";
    let found: Vec<_> = extras
        .iter()
        .filter(|extra| extra.misdelivers)
        .map(|extra| {
            let finding = Finding::new(
                "delivers events that have no handler",
                "no subscription",
                "each of its events ends as a dead letter",
                format!("{APPLY} --prune"),
            );
            Check::found(Error, ID, extra.resource.to_string(), finding)
        })
        .collect();
    if !found.is_empty() {
        return found;
    }
    let queues = resources.iter().filter(|(queue, kind)| *kind == Kind::Queue && is_there(queue));
    queues.map(|(queue, _)| Check::ok(ID, queue)).collect()
}

/// As the comparison names them.
fn resources(topology: &Topology, names: &Names, embedded: bool) -> Vec<(String, Kind)> {
    let topics = topology.topics().into_iter();
    let mut all: Vec<_> = topics.map(|event| (format!("topic {}", names.topic(event.as_str())), Kind::Topic)).collect();
    for subscriber in &topology.subscribers {
        let consumer = &subscriber.consumer;
        let queue = names.queue(consumer);
        all.push((format!("queue {queue}"), Kind::Queue));
        all.push((format!("queue {}", names.dead_letter_queue(consumer)), Kind::DeadLetters));
        if !embedded {
            all.push((format!("queue {}", names.undelivered_queue(consumer)), Kind::Undelivered));
        }
        all.extend(
            subscriber
                .events
                .iter()
                .map(|event| (format!("subscription {} → {queue}", names.topic(event.as_str())), Kind::Subscription)),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use messaging::{ExtraResource, QueueSettings, Subscriber};
    use schemas::EventType;

    use super::*;
    use crate::doctor::check::tests::found;

    fn topology() -> Topology {
        let events = [EventType::new("test.happened")].into();
        let subscriber = Subscriber { consumer: "reader".to_owned(), events, settings: QueueSettings::DEFAULT };
        Topology { subscribers: vec![subscriber], ..Topology::default() }
    }

    fn difference(resource: &str, setting: &str, expected: &str, found: Option<&str>) -> Difference {
        let [resource, setting, expected] = [resource, setting, expected].map(str::to_owned);
        Difference { resource, setting, expected, found: found.map(str::to_owned), settings: BTreeMap::new() }
    }

    fn judge_one(difference: Difference) -> Vec<Check> {
        judge(&topology(), &Names::default(), false, &[difference], &[])
    }

    #[test]
    fn where_nothing_differs_every_rule_of_every_resource_is_fine() {
        for (embedded, count) in [(false, 26), (true, 12)] {
            let checks = judge(&topology(), &Names::default(), embedded, &[], &[]);
            assert!(checks.iter().all(|check| check.outcome == super::super::check::Outcome::Ok), "{checks:#?}");
            assert_eq!(checks.len(), count, "{checks:#?}");
        }
    }

    #[test]
    fn each_setting_that_differs_is_a_finding_of_its_own_and_the_rest_stays_fine() {
        let (queue, dead, undelivered) = ("queue reader", "queue reader-dlq", "queue reader-undelivered");
        let subscription = "subscription test-happened → reader";
        let policy = |topic: &str| format!(r#"{{"Statement":[{{"Condition":{{"aws:SourceArn":"{topic}"}}}}]}}"#);
        let redrive =
            |target: &str, count: u32| format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}"#);
        let cases = [
            ("topic test-happened", EXISTENCE, "exists".to_owned(), None, "topic-exists", Error),
            (queue, EXISTENCE, "exists".to_owned(), None, "queue-exists", Error),
            (dead, EXISTENCE, "exists".to_owned(), None, "dead-letter-queue-exists", Error),
            (undelivered, EXISTENCE, "exists".to_owned(), None, "undelivered-queue-exists", Error),
            (subscription, EXISTENCE, "exists".to_owned(), None, "subscription-exists", Error),
            (queue, "Policy", policy("a"), Some(policy("b")), "queue-policy", Error),
            (undelivered, "Policy", policy("a"), None, "queue-policy", Error),
            (queue, "RedrivePolicy", redrive("a", 20), Some(redrive("b", 20)), "redrive-policy", Error),
            (queue, "RedrivePolicy", redrive("a", 20), Some(redrive("a", 7)), "max-receive-count", Warning),
            (queue, "RedrivePolicy", redrive("a", 20), None, "redrive-policy", Error),
            (queue, "RedrivePolicy", redrive("a", 20), Some("none".to_owned()), "redrive-policy", Error),
            (queue, "VisibilityTimeout", "60".to_owned(), Some("90".to_owned()), "visibility-timeout", Warning),
            (queue, "MessageRetentionPeriod", "9".to_owned(), Some("8".to_owned()), "retention", Warning),
            (dead, "MessageRetentionPeriod", "9".to_owned(), Some("8".to_owned()), "dead-letter-retention", Warning),
            (queue, "SqsManagedSseEnabled", "true".to_owned(), Some("false".to_owned()), "encryption", Warning),
            (dead, "SqsManagedSseEnabled", "true".to_owned(), Some("false".to_owned()), "encryption", Warning),
            (dead, "RedriveAllowPolicy", "{}".to_owned(), None, "redrive-allow-policy", Warning),
            (
                dead,
                "RedriveAllowPolicy",
                r#"{"a":1}"#.to_owned(),
                Some(r#"{"a":2}"#.to_owned()),
                "redrive-allow-policy",
                Error,
            ),
            (subscription, "RawMessageDelivery", "true".to_owned(), Some("false".to_owned()), "raw-delivery", Warning),
            (
                subscription,
                "FilterPolicyScope",
                "MessageAttributes".to_owned(),
                Some("MessageBody".to_owned()),
                "filter-scope",
                Error,
            ),
            (
                subscription,
                "FilterPolicy",
                r#"{"type":["a"]}"#.to_owned(),
                Some(r#"{"type":["b"]}"#.to_owned()),
                "filter-policy",
                Error,
            ),
            (subscription, "RedrivePolicy", redrive("a", 1), None, "subscription-redrive", Error),
            (queue, "tag waypost-installation", "/".to_owned(), None, MARK, Warning),
            (queue, "tag waypost-installation", "/".to_owned(), Some("/other-".to_owned()), MARK, Error),
        ];
        for (resource, setting, expected, now, id, severity) in cases {
            let checks = judge_one(difference(resource, setting, &expected, now.as_deref()));
            let about: Vec<_> = checks.iter().filter(|check| check.finding().is_some()).collect();
            assert_eq!(about.len(), 1, "{setting} of {resource}: {about:#?}");
            assert_eq!((about[0].id, about[0].about.as_str()), (id, resource));
            let (found, finding) = about[0].finding().unwrap();
            assert_eq!(found, severity, "{setting} of {resource}");
            let others = id == MARK && severity == Error;
            let remedy = if others { "export WAYPOST_NAME_PREFIX=another-" } else { APPLY };
            assert_eq!(finding.remedy, remedy);
        }
    }

    #[test]
    fn one_setting_may_be_two_findings_with_their_own_fields() {
        let (from, to) =
            (r#"{"deadLetterQueue":"b","maxReceiveCount":7}"#, r#"{"deadLetterQueue":"a","maxReceiveCount":20}"#);
        let checks = judge_one(difference("queue reader", "RedrivePolicy", to, Some(from)));
        let (_, count) = found(&checks, "max-receive-count").unwrap();
        assert_eq!(
            (count.found.as_str(), count.should_be.as_str()),
            ("RedrivePolicy.maxReceiveCount 7", "RedrivePolicy.maxReceiveCount 20")
        );
        let (_, target) = found(&checks, "redrive-policy").unwrap();
        assert_eq!(target.found, "RedrivePolicy.deadLetterQueue b");
    }

    #[test]
    fn the_wait_of_a_queue_is_told_and_is_no_finding() {
        let checks = judge_one(difference("queue reader", WAIT, "20", Some("0")));
        assert!(checks.iter().all(|check| check.finding().is_none()));
        let told = "ReceiveMessageWaitTimeSeconds is 0: only a hint, the worker names its own wait";
        assert!(checks.contains(&Check::info("receive-wait", "queue reader", told)), "{checks:#?}");
    }

    #[test]
    fn a_subscription_that_nobody_handles_is_an_error_and_what_is_merely_left_over_is_none() {
        let extra = |misdelivers| Extra {
            resource: ExtraResource::Subscription { topic: "test-left".to_owned(), queue: "reader".to_owned() },
            misdelivers,
            kept: None,
        };
        let judged = |misdelivers| judge(&topology(), &Names::default(), false, &[], &[extra(misdelivers)]);
        assert_eq!(found(&judged(false), "misdelivery"), None);
        let checks = judged(true);
        let (severity, finding) = found(&checks, "misdelivery").unwrap();
        assert_eq!((severity, finding.remedy.as_str()), (Error, "waypost topology apply --prune"));
    }
}
