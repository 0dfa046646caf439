//! An event's life as lines with times, and what it comes to.
//!
//! In the order of its stations and not of its times, which are of three clocks: a worker may have applied an event before
//! the relay knew that it was published.

use std::fmt;

use outbox::{OutboxRow, RowState};
use redrive::audit::Earlier;
use time::{OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description};
use worker::FailedAttempt;

use super::show::Life;
use crate::outln;

/// What an event's life comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    WaitingInTheOutbox,
    /// The bus refused it, and no relay tries again.
    FailedInTheOutbox,
    Published,
    Failing {
        attempt: i32,
    },
    /// Dead-lettered, and not known to have been tried since.
    Dead,
    /// By an operator, after it had died.
    Replayed,
    Discarded,
    Applied,
    AppliedAfterFailing,
    Unknown,
}

impl Verdict {
    /// The furthest station counts: a relay that dies before it has settled leaves a row that says less than is so.
    pub fn of(life: &Life) -> Self {
        match (&life.applied, life.failures.last(), life.outbox.as_ref().map(OutboxRow::state)) {
            (Some(_), None, _) => Self::Applied,
            (Some(_), Some(_), _) => Self::AppliedAfterFailing,
            (None, Some(last), _) if last.dead_lettered => match life.since(last) {
                Some("replayed") => Self::Replayed,
                Some("discarded") => Self::Discarded,
                _ => Self::Dead,
            },
            (None, Some(last), _) => Self::Failing { attempt: last.attempt },
            (None, None, Some(RowState::Published)) => Self::Published,
            (None, None, Some(RowState::Failed)) => Self::FailedInTheOutbox,
            (None, None, Some(_)) => Self::WaitingInTheOutbox,
            (None, None, None) => Self::Unknown,
        }
    }

    /// The command that goes on from here.
    fn remedy(self, id: &str) -> Option<String> {
        match self {
            Self::FailedInTheOutbox => {
                Some(format!("`waypost outbox retry {id}` says what publishing it again would do"))
            }
            Self::Dead => Some(format!("`waypost dlq show {id}` shows its dead letter")),
            Self::Discarded => {
                Some(format!("`waypost dlq history --letter {id}` tells by whom; `dlq restore` undoes it"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingInTheOutbox => f.write_str("waiting in the outbox"),
            Self::FailedInTheOutbox => f.write_str("failed in the outbox"),
            Self::Published => f.write_str("published, not yet applied"),
            Self::Failing { attempt } => write!(f, "failing (attempt {attempt})"),
            Self::Dead => f.write_str("dead"),
            Self::Replayed => f.write_str("replayed, not yet applied"),
            Self::Discarded => f.write_str("discarded"),
            Self::Applied => f.write_str("applied"),
            Self::AppliedAfterFailing => f.write_str("applied after failing"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One line, and what goes below it.
struct Line {
    /// None is kept of some.
    at: Option<OffsetDateTime>,
    what: &'static str,
    text: String,
    below: Vec<String>,
}

impl Line {
    fn new(at: impl Into<Option<OffsetDateTime>>, what: &'static str, text: impl Into<String>) -> Self {
        Self { at: at.into(), what, text: text.into(), below: Vec::new() }
    }
}

pub fn print(id: &str, life: &Life, verdict: Verdict) -> anyhow::Result<()> {
    outln!("{}", heading(id, life));
    let outbox = life.outbox.iter().flat_map(of_outbox);
    let applied = life.applied.iter().map(|applied| {
        let (handler, copies) = (&applied.handler, applied.redeliveries);
        Line::new(applied.applied_at, "applied", format!("by {handler}; redeliveries ignored: {copies}"))
    });
    // Both are in the consumer's database, and so by clocks that are near each other.
    let mut between: Vec<_> =
        life.failures.iter().map(of_failure).chain(life.operators.iter().map(of_operator)).collect();
    between.sort_by_key(|line| line.at);
    for Line { at, what, text, below } in outbox.chain(between).chain(applied) {
        let at = at.map(to_the_millisecond).transpose()?.unwrap_or_default();
        outln!("{at:<24}  {what:<13}  {}", one_line(&text));
        for text in below {
            outln!("{:<41}{}", "", one_line(&text));
        }
    }
    outln!("{verdict}");
    if let Some(remedy) = verdict.remedy(id) {
        eprintln!("{remedy}");
    }
    Ok(())
}

fn heading(id: &str, life: &Life) -> String {
    match (&life.applied, &life.outbox, life.failures.last().and_then(|last| last.event_type.as_deref())) {
        (Some(event), ..) => {
            let about = event.subject.as_deref().map(|subject| format!(", about {subject}")).unwrap_or_default();
            let (event_type, version, source) = (&event.event_type, event.schema_version, &event.source);
            format!("{id}: {event_type}@{version} of {source}{about}")
        }
        (None, Some(row), _) => {
            format!("{id}: {}@{} of {}, about {}", row.event_type, row.schema_version, row.source, row.subject)
        }
        (None, None, Some(event_type)) => format!("{id}: {event_type}"),
        (None, None, None) => id.to_owned(),
    }
}

fn of_outbox(row: &OutboxRow) -> Vec<Line> {
    let mut lines = vec![Line::new(row.created_at, "written", format!("to the outbox of {}", row.source))];
    if let Some(not_before) = row.not_before {
        lines.push(Line::new(not_before, "due", "not to be published before"));
    }
    let attempts = format!("attempts: {}", row.attempts);
    let mut last = match row.state() {
        RowState::Published => Line::new(row.published_at, "published", attempts),
        // When that was is not kept.
        RowState::Failed => Line::new(None, "failed", format!("refused by the bus; {attempts}")),
        RowState::Due => Line::new(row.due_at, "due", format!("waits for a relay; {attempts}")),
        RowState::Leased => Line::new(row.due_at, "leased", format!("to a relay, until then; {attempts}")),
        RowState::BackingOff => Line::new(row.due_at, "backing off", format!("until then; {attempts}")),
        RowState::Delayed => return lines,
    };
    last.below.extend(row.last_error.iter().map(|error| format!("last error: {error}")));
    lines.push(last);
    lines
}

fn of_failure(failed: &FailedAttempt) -> Line {
    let FailedAttempt { attempt, class, reason, message, worker, version, .. } = failed;
    let what = if failed.dead_lettered { "dead-lettered" } else { "failed" };
    let mut line = Line::new(failed.failed_at, what, format!("attempt {attempt}, {reason} ({class}): {message}"));
    line.below.extend(failed.causes.iter().map(|cause| format!("because: {cause}")));
    let handler = failed.handler.as_deref().map(|handler| format!(" in {handler}")).unwrap_or_default();
    line.below.push(format!("by {worker}{handler}, version {version}"));
    line.below.extend(failed.trace_id.iter().map(|trace| format!("trace {trace}")));
    line
}

fn of_operator(act: &Earlier) -> Line {
    let Earlier { operation, actor, reason, at, outcome, .. } = act;
    let mut line = Line::new(*at, "operator", format!("{outcome} by {actor}: {reason}"));
    line.below.push(format!("operation {operation}"));
    line
}

impl Life {
    /// What operators did last after an attempt.
    fn since(&self, attempt: &FailedAttempt) -> Option<&str> {
        let known = ["replayed", "discarded", "restored"];
        let mut outcomes =
            self.operators.iter().filter(|act| act.at > attempt.failed_at).map(|act| act.outcome.as_str());
        outcomes.rfind(|outcome| known.contains(outcome))
    }
}

fn to_the_millisecond(at: OffsetDateTime) -> Result<String, time::error::Format> {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(UtcOffset::UTC).format(FORMAT)
}

/// What an error says may have lines of its own.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};
    use uuid::Uuid;
    use worker::AppliedEvent;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn outbox(status: &str) -> OutboxRow {
        OutboxRow {
            event_id: Uuid::nil(),
            event_type: "user.created".to_owned(),
            schema_version: 2,
            source: "auth-service".to_owned(),
            subject: "7".to_owned(),
            status: status.to_owned(),
            attempts: 3,
            created_at: NOON,
            not_before: None,
            due_at: NOON + Duration::MINUTE,
            leased: false,
            last_error: Some("not available:\nDown".to_owned()),
            published_at: (status == "published").then_some(NOON + Duration::SECOND),
            read_at: NOON,
        }
    }

    fn failure(attempt: i32, dead_lettered: bool) -> FailedAttempt {
        FailedAttempt {
            event_key: Uuid::nil(),
            event_type: Some("user.created".to_owned()),
            attempt,
            class: "retry".to_owned(),
            reason: "retries-exhausted".to_owned(),
            message: "could not check out".to_owned(),
            causes: vec!["no cart".to_owned()],
            handler: Some("check_out".to_owned()),
            worker: "host:1".to_owned(),
            version: "0.1.0".to_owned(),
            trace_id: Some("4bf9".to_owned()),
            queue: "q".to_owned(),
            message_id: "m".to_owned(),
            receive_count: attempt,
            dead_lettered,
            failed_at: NOON + Duration::seconds(2),
        }
    }

    fn applied() -> AppliedEvent {
        AppliedEvent {
            event_key: Uuid::nil(),
            event_id: "e".to_owned(),
            event_type: "user.created".to_owned(),
            schema_version: 2,
            source: "auth-service".to_owned(),
            subject: None,
            sequence: None,
            handler: "record_profile".to_owned(),
            event_time: NOON,
            applied_at: NOON,
            redeliveries: 1,
        }
    }

    #[test]
    fn the_verdict_is_of_the_furthest_station() {
        let (failing, died) = ([failure(1, false), failure(2, false)], [failure(1, false), failure(2, true)]);
        let again = [failure(2, true), failure(1, false)];
        let cases: [(_, &[FailedAttempt], _, _); 12] = [
            (None, &[], false, "unknown"),
            (Some("pending"), &[], false, "waiting in the outbox"),
            (Some("failed"), &[], false, "failed in the outbox"),
            (Some("published"), &[], false, "published, not yet applied"),
            (Some("published"), &failing, false, "failing (attempt 2)"),
            // The relay died before it could settle; or the outbox was not looked at.
            (Some("pending"), &failing, false, "failing (attempt 2)"),
            (None, &failing, false, "failing (attempt 2)"),
            (Some("published"), &died, false, "dead"),
            (Some("published"), &again, false, "failing (attempt 1)"),
            (Some("published"), &[], true, "applied"),
            (None, &[], true, "applied"),
            (Some("published"), &died, true, "applied after failing"),
        ];
        for (status, failures, is_applied, expected) in cases {
            let applied = is_applied.then(applied);
            let operators = Vec::new();
            let life = Life { outbox: status.map(outbox), failures: failures.to_vec(), operators, applied };
            assert_eq!(Verdict::of(&life).to_string(), expected);
        }
    }

    #[test]
    fn what_an_operator_did_after_its_death_is_the_verdict_until_it_fails_again() {
        let act = |outcome: &str, at: OffsetDateTime| Earlier {
            operation: Uuid::nil(),
            verb: "replay".to_owned(),
            actor: "ada".to_owned(),
            reason: "mended".to_owned(),
            at,
            outcome: outcome.to_owned(),
        };
        let died = failure(2, true).failed_at;
        let (before, after) = (died - Duration::SECOND, died + Duration::SECOND);
        for (operators, expected) in [
            (vec![act("replayed", before)], "dead"),
            (vec![act("replayed", after)], "replayed, not yet applied"),
            (vec![act("edited", after), act("replayed", after), act("refailed", after)], "replayed, not yet applied"),
            (vec![act("discarded", after)], "discarded"),
            (vec![act("discarded", after), act("restored", after)], "dead"),
        ] {
            let life = Life { outbox: None, failures: vec![failure(2, true)], operators, applied: None };
            assert_eq!(Verdict::of(&life).to_string(), expected);
        }
    }

    #[test]
    fn a_row_that_backs_off_says_until_when_and_why() {
        let lines = of_outbox(&outbox("pending"));
        let told: Vec<_> = lines.iter().map(|line| (line.what, line.at, line.text.as_str())).collect();
        let expected = [
            ("written", Some(NOON), "to the outbox of auth-service"),
            ("backing off", Some(NOON + Duration::MINUTE), "until then; attempts: 3"),
        ];
        assert_eq!(told, expected);
        assert_eq!(lines[1].below, ["last error: not available:\nDown"]);
        assert_eq!(one_line(&lines[1].below[0]), "last error: not available: Down");
    }

    #[test]
    fn a_failure_is_told_with_its_causes_and_with_who_it_happened_to() {
        let line = of_failure(&failure(2, true));
        assert_eq!(line.what, "dead-lettered");
        assert_eq!(line.text, "attempt 2, retries-exhausted (retry): could not check out");
        assert_eq!(line.below, ["because: no cart", "by host:1 in check_out, version 0.1.0", "trace 4bf9"]);
        assert_eq!(to_the_millisecond(NOON).unwrap(), "2026-11-22T12:00:00.000Z");
    }
}
