//! A consumer's queues, judged by what its worker needs. Whoever may read the queue can look this far, the worker
//! itself included.

use std::time::Duration;

use messaging::{ConsumerFacts, Counts, Looked, Names, QueueFacts, Subscriber};
use worker::EVENT_LOGS;

use super::check::{
    Check, Finding,
    Severity::{Error, Warning},
};
use crate::{
    remedy::{APPLY, Remedies},
    run::InboxSettings,
};

/// What a worker needs of its queues.
#[derive(Debug, Clone)]
pub struct Needs {
    pub queue: String,
    pub dead_letters: String,
    pub max_attempts: u32,
    pub handler_timeout: Duration,
    /// How long `event_logs` can tell a copy.
    pub window: Duration,
    /// As the topology has them.
    pub settings: messaging::QueueSettings,
    /// `SQS_QUEUE_URL`, or the consumer's own.
    pub queue_variable: String,
    pub remedies: Remedies,
}

/// SQS also counts receives that nobody saw: a worker that died, an answer that was lost.
const UNSEEN: u32 = 2;
/// For looking at a dead letter, and for its replay to come through.
const ROOM: Duration = Duration::from_secs(3 * 24 * 60 * 60);

impl Needs {
    pub fn of(subscriber: &Subscriber, names: &Names, settings: &InboxSettings) -> Self {
        let InboxSettings { bus, worker, queue_variable, .. } = settings;
        Self {
            queue: names.queue(&subscriber.consumer),
            dead_letters: names.dead_letter_queue(&subscriber.consumer),
            max_attempts: worker.max_attempts,
            handler_timeout: worker.handler_timeout,
            window: EVENT_LOGS.keep.unsigned_abs(),
            settings: subscriber.settings,
            queue_variable: queue_variable.clone(),
            remedies: bus.remedies(),
        }
    }

    pub fn judge(&self, facts: &ConsumerFacts) -> Vec<Check> {
        let mut checks = vec![
            exists(
                "queue-exists",
                &self.queue,
                &facts.queue,
                "there is nothing to read, and SNS has nowhere to deliver",
            ),
            exists(
                "dead-letter-queue-exists",
                &self.dead_letters,
                &facts.dead_letters,
                "what can't be applied has nowhere to go, and stays in the worker's hands",
            ),
        ];
        if let Some(queue) = facts.queue.found() {
            checks.extend(self.of_queue(queue));
        }
        if let Some(dead_letters) = facts.dead_letters.found() {
            checks.push(self.redrive_of_dead_letters(dead_letters));
            let Counts { visible, in_flight } = dead_letters.counts;
            let held = format!("{} dead letters", visible + in_flight);
            checks.push(Check::info("dead-letters", queue_named(&self.dead_letters), held));
        }
        if let (Some(queue), Some(dead_letters)) = (facts.queue.found(), facts.dead_letters.found()) {
            checks.extend(self.retention(queue, dead_letters));
        }
        checks
    }

    fn of_queue(&self, facts: &QueueFacts) -> Vec<Check> {
        let about = queue_named(&self.queue);
        let mut checks = vec![self.kind(facts, &about), self.redrive(facts, &about)];
        checks.extend(self.max_receive_count(facts, &about));
        checks.extend(self.visibility(facts, &about));
        let Counts { visible, in_flight } = facts.counts;
        checks.push(Check::info("backlog", about, format!("{visible} waiting, {in_flight} in flight")));
        checks
    }

    /// Only a variable can lead to another queue than the topology's.
    fn kind(&self, facts: &QueueFacts, about: &str) -> Check {
        let variable = &self.queue_variable;
        if facts.is_fifo {
            let finding = Finding::new(
                format!("{} is a FIFO queue", facts.name),
                "a standard queue",
                "a FIFO queue holds back a whole group behind one message that fails, and SNS delivers to it from FIFO topics only",
                format!("unset {variable} && {APPLY}"),
            );
            return Check::found(Error, "queue-kind", about, finding);
        }
        if facts.name != self.queue {
            let finding = Finding::new(
                format!("{variable} leads to {}", facts.name),
                self.queue.clone(),
                "topics deliver to the queue that is named after its consumer, and nothing arrives in another",
                format!("unset {variable}"),
            );
            return Check::found(Warning, "queue-kind", about, finding);
        }
        Check::ok("queue-kind", about)
    }

    fn redrive(&self, facts: &QueueFacts, about: &str) -> Check {
        let found = match &facts.redrive {
            Some(redrive) if redrive.target == self.dead_letters => return Check::ok("redrive-policy", about),
            Some(redrive) => format!("what is received too often goes to {}", redrive.target),
            None => "no redrive policy".to_owned(),
        };
        let why = "a message that kills its worker comes back for as long as the queue keeps it, and is then lost";
        let finding = Finding::new(found, format!("a redrive policy to {}", self.dead_letters), why, APPLY);
        Check::found(Error, "redrive-policy", about, finding)
    }

    fn max_receive_count(&self, facts: &QueueFacts, about: &str) -> Option<Check> {
        let count = facts.redrive.as_ref()?.max_receive_count;
        let usual = self.settings.max_receive_count;
        let why = if count <= UNSEEN {
            "receives that nobody saw count as well, such as those of a worker that died, so healthy messages would die of a restart"
        } else if count < self.max_attempts {
            "the queue takes a message away before the worker's own attempts are used up, and then nobody says why it died"
        } else {
            return Some(Check::ok("max-receive-count", about));
        };
        let remedy = match self.max_attempts > usual {
            true => format!("export WORKER_MAX_ATTEMPTS={usual} && {APPLY}"),
            false => APPLY.to_owned(),
        };
        let should_be = format!("{usual}, and never below WORKER_MAX_ATTEMPTS, which is {}", self.max_attempts);
        let finding = Finding::new(count.to_string(), should_be, why, remedy);
        Some(Check::found(Error, "max-receive-count", about, finding))
    }

    /// Beyond what the topology sets it doesn't matter: the worker names its lease with every receive.
    fn visibility(&self, facts: &QueueFacts, about: &str) -> Option<Check> {
        let (found, needed) = (facts.visibility?, self.handler_timeout.min(self.settings.visibility));
        if found >= needed {
            return Some(Check::ok("visibility-timeout", about));
        }
        let finding = Finding::new(
            seconds(found),
            format!("at least {}", seconds(needed)),
            "who receives without saying how long, as other tools do, has the message come back while it is being worked on",
            APPLY,
        );
        Some(Check::found(Warning, "visibility-timeout", about, finding))
    }

    fn redrive_of_dead_letters(&self, facts: &QueueFacts) -> Check {
        let about = queue_named(&self.dead_letters);
        let Some(redrive) = &facts.redrive else { return Check::ok("dead-letter-redrive", about) };
        let finding = Finding::new(
            format!("what is received {} times goes to {}", redrive.max_receive_count, redrive.target),
            "no redrive policy",
            "looking at dead letters receives them, so looking often enough would push them on to where nobody looks",
            self.remedies.without_redrive(facts),
        );
        Check::found(Error, "dead-letter-redrive", about, finding)
    }

    fn retention(&self, queue: &QueueFacts, dead_letters: &QueueFacts) -> Vec<Check> {
        let (Some(kept), Some(kept_dead)) = (queue.retention, dead_letters.retention) else { return Vec::new() };
        let about = queue_named(&self.dead_letters);
        let of_dead_letters = if kept_dead >= kept + ROOM {
            Check::ok("dead-letter-retention", about)
        } else {
            let severity = if kept_dead <= kept { Error } else { Warning };
            let finding = Finding::new(
                days(kept_dead),
                format!("{} or more, the {} of the queue and some to look at it", days(kept + ROOM), days(kept)),
                "a dead letter's age counts from when it was first sent, so one that waited long is deleted as it arrives",
                APPLY,
            );
            Check::found(severity, "dead-letter-retention", about, finding)
        };
        let longest = kept + kept_dead;
        let of_window = if self.window >= longest + ROOM {
            Check::ok("dedup-window", queue_named(&self.queue))
        } else {
            let severity = if self.window < longest { Error } else { Warning };
            let finding = Finding::new(
                format!("copies are known for {}", days(self.window)),
                format!(
                    "{} or more: {} in the queue, {} as a dead letter, and some for a replay; or shorter retentions",
                    days(longest + ROOM),
                    days(kept),
                    days(kept_dead)
                ),
                "an event that comes back when its week is gone can't be told from a copy, and is rejected instead of applied",
                APPLY,
            );
            Check::found(severity, "dedup-window", queue_named(&self.queue), finding)
        };
        vec![of_dead_letters, of_window]
    }
}

fn exists(id: &'static str, name: &str, looked: &Looked, why: &str) -> Check {
    match looked {
        Looked::Found(_) => Check::ok(id, queue_named(name)),
        Looked::Missing => Check::found(Error, id, queue_named(name), Finding::new("not there", "there", why, APPLY)),
        Looked::Denied { call, code } => Check::untried(id, queue_named(name), format!("{call} is refused: {code}")),
    }
}

/// As the topology calls it.
pub fn queue_named(name: &str) -> String {
    format!("queue {name}")
}

pub fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn days(duration: Duration) -> String {
    let hours = duration.as_secs() / (60 * 60);
    match hours % 24 {
        0 => format!("{} days", hours / 24),
        _ => format!("{hours} hours"),
    }
}

#[cfg(test)]
mod tests {
    use messaging::{QueueSettings, RedriveFacts};

    use service::settings::Env;

    use super::*;
    use crate::{consumers, doctor::check::tests::found};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn needs() -> Needs {
        let subscriber =
            Subscriber { consumer: "reader".to_owned(), events: [].into(), settings: QueueSettings::DEFAULT };
        let env = Env::of([("USER_DATABASE_URL", "postgresql://ada@127.0.0.1/user_db")]);
        let settings = InboxSettings::from_env(&env, consumers::DEFAULT, false).unwrap();
        Needs::of(&subscriber, &Names::with_prefix("dev-"), &settings)
    }

    fn facts() -> (QueueFacts, QueueFacts) {
        let queue = QueueFacts {
            name: "dev-reader".to_owned(),
            url: Some("http://ada:hunter2@sqs.example/1/dev-reader".to_owned()),
            is_fifo: false,
            visibility: Some(Duration::from_secs(60)),
            retention: Some(4 * DAY),
            redrive: Some(RedriveFacts { target: "dev-reader-dlq".to_owned(), max_receive_count: 20 }),
            counts: Counts { visible: 3, in_flight: 1 },
        };
        let dead_letters = QueueFacts {
            name: "dev-reader-dlq".to_owned(),
            url: Some("http://ada:hunter2@sqs.example/1/dev-reader-dlq".to_owned()),
            retention: Some(14 * DAY),
            redrive: None,
            counts: Counts { visible: 2, in_flight: 0 },
            ..queue.clone()
        };
        (queue, dead_letters)
    }

    fn judge(needs: &Needs, change: impl Fn(&mut QueueFacts, &mut QueueFacts)) -> Vec<Check> {
        let (mut queue, mut dead_letters) = facts();
        change(&mut queue, &mut dead_letters);
        let [queue, dead_letters] = [queue, dead_letters].map(|facts| Looked::Found(Box::new(facts)));
        needs.judge(&ConsumerFacts { queue, dead_letters })
    }

    fn redriven(queue: &mut QueueFacts, target: &str, max_receive_count: u32) {
        queue.redrive = Some(RedriveFacts { target: target.to_owned(), max_receive_count });
    }

    #[test]
    fn a_queue_as_the_topology_makes_it_has_no_findings_and_its_messages_are_told() {
        let checks = judge(&needs(), |_, _| {});
        assert!(checks.iter().all(|check| check.finding().is_none()), "{checks:#?}");
        let ids: Vec<_> = checks.iter().map(|check| check.id).collect();
        assert_eq!(
            ids,
            [
                "queue-exists",
                "dead-letter-queue-exists",
                "queue-kind",
                "redrive-policy",
                "max-receive-count",
                "visibility-timeout",
                "backlog",
                "dead-letter-redrive",
                "dead-letters",
                "dead-letter-retention",
                "dedup-window",
            ]
        );
        assert!(checks.contains(&Check::info("backlog", "queue dev-reader", "3 waiting, 1 in flight")));
        assert!(checks.contains(&Check::info("dead-letters", "queue dev-reader-dlq", "2 dead letters")));
    }

    #[test]
    fn a_missing_queue_is_an_error_and_one_that_may_not_be_read_is_said_to_be() {
        let denied = Looked::Denied { call: "GetQueueAttributes", code: "AccessDenied".to_owned() };
        let checks = needs().judge(&ConsumerFacts { queue: Looked::Missing, dead_letters: denied });
        assert_eq!(checks.len(), 2);
        assert_eq!(found(&checks, "queue-exists").unwrap().0, Error);
        let why = "GetQueueAttributes is refused: AccessDenied";
        assert_eq!(checks[1], Check::untried("dead-letter-queue-exists", "queue dev-reader-dlq", why));
    }

    #[test]
    fn a_fifo_queue_and_another_queue_are_told_apart() {
        let fifo = judge(&needs(), |queue, _| {
            queue.is_fifo = true;
            queue.name = "dev-reader.fifo".to_owned();
        });
        let (severity, finding) = found(&fifo, "queue-kind").unwrap();
        assert_eq!((severity, finding.found.as_str()), (Error, "dev-reader.fifo is a FIFO queue"));
        let other = judge(&needs(), |queue, _| queue.name = "other".to_owned());
        let (severity, finding) = found(&other, "queue-kind").unwrap();
        assert_eq!((severity, finding.remedy.as_str()), (Warning, "unset SQS_QUEUE_URL"));
        let needs = Needs { queue_variable: "READER_SQS_QUEUE_URL".to_owned(), ..needs() };
        let other = judge(&needs, |queue, _| queue.name = "other".to_owned());
        assert_eq!(found(&other, "queue-kind").unwrap().1.remedy, "unset READER_SQS_QUEUE_URL");
    }

    #[test]
    fn a_redrive_policy_is_there_and_leads_to_the_dead_letter_queue() {
        let none = judge(&needs(), |queue, _| queue.redrive = None);
        assert_eq!(found(&none, "redrive-policy").unwrap().1.found, "no redrive policy");
        let elsewhere = judge(&needs(), |queue, _| redriven(queue, "other-dlq", 20));
        assert!(found(&elsewhere, "redrive-policy").unwrap().1.found.contains("other-dlq"));
        assert_eq!(found(&elsewhere, "max-receive-count"), None);
    }

    #[test]
    fn receives_are_allowed_for_all_attempts_and_for_those_that_nobody_saw() {
        let with = |attempts, count| {
            let needs = Needs { max_attempts: attempts, ..needs() };
            judge(&needs, |queue, _| redriven(queue, "dev-reader-dlq", count))
        };
        for (attempts, count, is_found) in
            [(1, 1, true), (1, 2, true), (1, 3, false), (5, 4, true), (5, 5, false), (30, 20, true), (30, 30, false)]
        {
            let checks = with(attempts, count);
            assert_eq!(found(&checks, "max-receive-count").is_some(), is_found, "{attempts} {count}");
        }
        let checks = with(5, 2);
        let (severity, finding) = found(&checks, "max-receive-count").unwrap();
        assert_eq!((severity, finding.remedy.as_str()), (Error, "waypost topology apply"));
        assert_eq!(finding.should_be, "20, and never below WORKER_MAX_ATTEMPTS, which is 5");
        // Applying sets twenty, which would still be too few.
        let remedy = &found(&with(30, 20), "max-receive-count").unwrap().1.remedy.clone();
        assert_eq!(remedy, "export WORKER_MAX_ATTEMPTS=20 && waypost topology apply");
    }

    #[test]
    fn the_queues_own_visibility_covers_a_handler_as_far_as_the_topology_can_set_it() {
        let with = |timeout, visibility| {
            let needs = Needs { handler_timeout: Duration::from_secs(timeout), ..needs() };
            judge(&needs, |queue, _| queue.visibility = Some(Duration::from_secs(visibility)))
        };
        for (timeout, visibility, is_found) in [(30, 29, true), (30, 30, false), (300, 60, false), (300, 59, true)] {
            let checks = with(timeout, visibility);
            assert_eq!(found(&checks, "visibility-timeout").is_some(), is_found, "{timeout} {visibility}");
        }
        assert_eq!(found(&with(30, 5), "visibility-timeout").unwrap().0, Warning);
    }

    #[test]
    fn a_dead_letter_queue_sends_nothing_on_and_the_command_against_it_names_no_password() {
        let checks = judge(&needs(), |_, dead_letters| redriven(dead_letters, "graveyard", 3));
        let (severity, finding) = found(&checks, "dead-letter-redrive").unwrap();
        assert_eq!((severity, finding.found.as_str()), (Error, "what is received 3 times goes to graveyard"));
        assert_eq!(
            finding.remedy,
            "aws sqs set-queue-attributes --queue-url 'http://sqs.example/1/dev-reader-dlq' --attributes '{\"RedrivePolicy\":\"\"}'"
        );
    }

    #[test]
    fn dead_letters_are_kept_longer_than_the_queue_keeps_messages() {
        let with = |queue_days, dead_days| {
            judge(&needs(), |queue, dead_letters| {
                queue.retention = Some(queue_days * DAY);
                dead_letters.retention = Some(dead_days * DAY);
            })
        };
        for (queue, dead, expected) in
            [(4, 14, None), (4, 7, None), (4, 6, Some(Warning)), (4, 4, Some(Error)), (4, 1, Some(Error))]
        {
            let checks = with(queue, dead);
            let severity = found(&checks, "dead-letter-retention").map(|(severity, _)| severity);
            assert_eq!(severity, expected, "{queue} {dead}");
        }
    }

    #[test]
    fn copies_are_known_for_longer_than_a_message_can_live() {
        let with = |window| {
            let needs = Needs { window: window * DAY, ..needs() };
            judge(&needs, |_, _| {})
        };
        for (window, expected) in [(28, None), (21, None), (20, Some(Warning)), (18, Some(Warning)), (17, Some(Error))]
        {
            let severity = found(&with(window), "dedup-window").map(|(severity, _)| severity);
            assert_eq!(severity, expected, "{window}");
        }
    }

    #[test]
    fn what_a_bus_does_not_have_is_not_judged() {
        let checks = judge(&needs(), |queue, dead_letters| {
            for facts in [queue, dead_letters] {
                (facts.url, facts.visibility, facts.retention) = (None, None, None);
            }
        });
        for id in ["visibility-timeout", "dead-letter-retention", "dedup-window"] {
            assert!(checks.iter().all(|check| check.id != id), "{checks:#?}");
        }
    }
}
