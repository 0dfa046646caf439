//! What is kept of a failure: enough to group and to mend, and nothing of the data.

use std::error::Error;

use schemas::{Clock, Envelope, InboxKey};
use sha2::{Digest, Sha256};
use sqlx::{PgPool, error::DatabaseError, postgres::PgDatabaseError};
use uuid::Uuid;

use crate::message::dead_letter::FailureReport;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    Retry,
    Reject,
    Unclassified,
}

impl FailureClass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Unclassified => "unclassified",
        }
    }
}

/// One failed attempt, without the event it failed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub class: FailureClass,
    /// A short name that operators filter by.
    pub reason: &'static str,
    pub message: String,
    pub causes: Vec<String>,
    pub fingerprint: String,
}

/// A failure and what it happened to.
pub(crate) struct FailedEvent<'a> {
    pub failure: &'a Failure,
    pub event: Option<(&'a Envelope, InboxKey)>,
    pub message_id: &'a str,
    pub receive_count: u32,
    pub handler: Option<&'static str>,
}

/// Where and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub pool: PgPool,
    pub clock: Clock,
    pub queue: String,
    pub worker: String,
    pub version: String,
    pub max_attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub attempt: u32,
    pub dead_lettered: bool,
}

const LONGEST_MESSAGE: usize = 1_000;
const MOST_CAUSES: usize = 10;

impl Failure {
    pub fn new(class: FailureClass, reason: &'static str, handler: &str, error: &(dyn Error + 'static)) -> Self {
        let mut texts = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            texts.push(shorten(&describe(error)));
            // Below a database error lies only the same message again, with the data that describe() left out.
            next = if of_database(error).is_some() { None } else { error.source() };
        }
        texts.dedup();
        let message = texts.remove(0);
        texts.truncate(MOST_CAUSES);
        let fingerprint = fingerprint(handler, reason, &message, &texts);
        Self { class, reason, message, causes: texts, fingerprint }
    }
}

/// An error and its causes in one line, for the log.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![describe(error)];
    let mut last = error;
    while let Some(cause) = last.source().filter(|_| of_database(last).is_none()) {
        texts.push(describe(cause));
        last = cause;
    }
    texts.dedup();
    texts.join(": ")
}

/// A database error says which rule was broken; its own message may quote the row.
fn describe(error: &(dyn Error + 'static)) -> String {
    let Some(database) = of_database(error) else { return error.to_string() };
    let mut text = format!("SQLSTATE {}", database.code().unwrap_or_default());
    for (what, name) in [("table", database.table()), ("constraint", database.constraint())] {
        if let Some(name) = name {
            text.extend([", ", what, " ", name]);
        }
    }
    // Class 22 (data exception) and 23 (integrity) quote values; the others describe statements and the server.
    let quotes_data = database.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"));
    if quotes_data { text } else { format!("{text}: {}", database.message()) }
}

/// The server's answer, also where a transparent wrapper hides the `sqlx::Error` around it.
fn of_database<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn DatabaseError> {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => Some(&**database),
        Some(_) => None,
        None => error.downcast_ref::<PgDatabaseError>().map(|database| database as &dyn DatabaseError),
    }
}

/// PostgreSQL's text holds no U+0000.
fn shorten(text: &str) -> String {
    text.chars().take(LONGEST_MESSAGE).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same for one fault whatever ids, numbers and quoted values it speaks of.
fn fingerprint(handler: &str, reason: &str, message: &str, causes: &[String]) -> String {
    let mut hash = Sha256::new();
    for text in [handler, reason, message].into_iter().chain(causes.iter().map(String::as_str)) {
        hash.update(masked(text));
        hash.update([0]);
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    format!("{:016x}", u64::from_be_bytes(short))
}

/// Words that hold a digit become `#`, and so does what stands in double quotes.
fn masked(text: &str) -> String {
    let unquoted: Vec<_> = text.split('"').enumerate().map(|(at, part)| if at % 2 == 1 { "#" } else { part }).collect();
    let words = unquoted.concat();
    let mask = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    words.split_whitespace().map(mask).collect::<Vec<_>>().join(" ")
}

impl Recorder {
    /// The same facts, as a dead letter carries them.
    pub fn report(&self, failed: &FailedEvent<'_>, attempts: u32) -> FailureReport {
        FailureReport {
            event_id: failed.event.map(|(envelope, _)| envelope.id.clone()),
            event_type: failed.event.map(|(envelope, _)| envelope.event_type.clone()),
            handler: failed.handler.map(str::to_owned),
            class: failed.failure.class.as_str().to_owned(),
            reason: failed.failure.reason.to_owned(),
            message: failed.failure.message.clone(),
            causes: failed.failure.causes.clone(),
            fingerprint: failed.failure.fingerprint.clone(),
            attempts,
            receive_count: failed.receive_count,
            queue: self.queue.clone(),
            worker: self.worker.clone(),
            version: self.version.clone(),
            trace_id: failed.event.and_then(|(envelope, _)| envelope.trace_id().map(str::to_owned)),
            failed_at: self.clock.now(),
        }
    }

    /// Writes one row per failure, apart from the transaction that was rolled back, and says for each whether it was
    /// the last attempt. Attempts count from the event's last dead-lettering, so a replayed event has all of them again.
    pub async fn record(&self, failed: &[FailedEvent<'_>]) -> Result<Vec<Recorded>, sqlx::Error> {
        let now = self.clock.now();
        let ids: Vec<_> = failed.iter().map(|_| schemas::event_id(now)).collect();
        let keys: Vec<Option<Uuid>> = failed.iter().map(|f| f.event.map(|(_, key)| key.as_uuid())).collect();
        let event_ids: Vec<Option<String>> = failed.iter().map(|f| f.event.map(|(e, _)| e.id.clone())).collect();
        let types: Vec<Option<String>> = failed.iter().map(|f| f.event.map(|(e, _)| e.event_type.clone())).collect();
        let traces: Vec<Option<String>> =
            failed.iter().map(|f| f.event.and_then(|(e, _)| e.trace_id().map(str::to_owned))).collect();
        let message_ids: Vec<String> = failed.iter().map(|f| f.message_id.to_owned()).collect();
        let handlers: Vec<Option<String>> = failed.iter().map(|f| f.handler.map(str::to_owned)).collect();
        let classes: Vec<String> = failed.iter().map(|f| f.failure.class.as_str().to_owned()).collect();
        let reasons: Vec<String> = failed.iter().map(|f| f.failure.reason.to_owned()).collect();
        let messages: Vec<String> = failed.iter().map(|f| f.failure.message.clone()).collect();
        let causes: Vec<String> = failed.iter().map(|f| f.failure.causes.join("\n")).collect();
        let fingerprints: Vec<String> = failed.iter().map(|f| f.failure.fingerprint.clone()).collect();
        let receive_counts: Vec<i32> = failed.iter().map(|f| f.receive_count as i32).collect();
        let rows = sqlx::query!(
            r#"INSERT INTO event_failures (
                   failure_id, event_key, event_id, event_type, trace_id, message_id, handler, class, reason, message,
                   causes, fingerprint, receive_count, queue, worker, version, failed_at, attempt, dead_lettered)
               SELECT f.failure_id, f.event_key, f.event_id, f.event_type, f.trace_id, f.message_id, f.handler, f.class,
                      f.reason, f.message,
                      CASE WHEN f.causes = '' THEN '{}' ELSE string_to_array(f.causes, E'\n') END, f.fingerprint,
                      f.receive_count, $14, $15, $16, $17, counted.attempt,
                      f.class = 'reject' OR counted.attempt >= $18
                 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::int4[])
                      AS f (failure_id, event_key, event_id, event_type, trace_id, message_id, handler, class, reason,
                            message, causes, fingerprint, receive_count)
                CROSS JOIN LATERAL (
                      SELECT 1 + count(*)::int4 AS attempt
                        FROM event_failures before
                       WHERE before.event_key = f.event_key
                         AND before.failure_id > coalesce(
                                 (SELECT dead.failure_id
                                    FROM event_failures dead
                                   WHERE dead.event_key = f.event_key AND dead.dead_lettered
                                   ORDER BY dead.failure_id DESC
                                   LIMIT 1),
                                 '00000000-0000-0000-0000-000000000000')
                      ) AS counted
            RETURNING failure_id, attempt, dead_lettered"#,
            &ids,
            &keys as &[Option<Uuid>],
            &event_ids as &[Option<String>],
            &types as &[Option<String>],
            &traces as &[Option<String>],
            &message_ids,
            &handlers as &[Option<String>],
            &classes,
            &reasons,
            &messages,
            &causes,
            &fingerprints,
            &receive_counts,
            self.queue,
            self.worker,
            self.version,
            now,
            self.max_attempts as i32,
        )
        .fetch_all(&self.pool)
        .await?;
        let recorded = ids.iter().map(|id| {
            let row = rows.iter().find(|row| row.failure_id == *id).ok_or(sqlx::Error::RowNotFound)?;
            Ok(Recorded { attempt: row.attempt as u32, dead_lettered: row.dead_lettered })
        });
        recorded.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("user {0} has no cart")]
    struct NoCart(u32);

    #[derive(Debug, thiserror::Error)]
    #[error("could not check out")]
    struct CheckOut(#[source] NoCart);

    #[test]
    fn one_fault_has_one_fingerprint_and_two_have_two() {
        let failure = |error: &CheckOut| Failure::new(FailureClass::Reject, "rejected", "check_out", error);
        let (first, second) = (failure(&CheckOut(NoCart(17))), failure(&CheckOut(NoCart(4711))));
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_eq!(
            (first.message.as_str(), first.causes.as_slice()),
            ("could not check out", &["user 17 has no cart".to_owned()][..])
        );
        let other = Failure::new(FailureClass::Reject, "rejected", "check_out", &NoCart(17));
        assert_ne!(first.fingerprint, other.fingerprint);
    }

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent(#[from] std::num::ParseIntError);

    #[test]
    fn a_text_that_a_database_could_not_hold_is_mended() {
        let failure = Failure::new(FailureClass::Reject, "rejected", "h", &std::io::Error::other("a\0b"));
        assert_eq!(failure.message, "a\u{fffd}b");
        let transparent = Transparent("x".parse::<u8>().unwrap_err());
        assert_eq!(chain(&transparent), "invalid digit found in string");
    }

    #[test]
    fn masking_keeps_words_and_drops_values() {
        assert_eq!(masked("line 3, \"ada\" is 019ab6a1-0000-7000"), "line # # is #");
    }
}
