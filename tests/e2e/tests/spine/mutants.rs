//! Ten thousand broken events through a worker at work: every one of them is accounted for.
//!
//! What is to become of each follows from its body alone; then queue, dead-letter queue and tables are held against it.

#[path = "../../../fuzz/decoder.rs"]
mod fuzzed;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration as StdDuration,
};

use fixtures::{TestBus, eventually};
use messaging::{
    OutgoingMessage, Queue, QueueSettings, RawMessage, ReceiveRequest, check_sendable, unwrap_notification,
};
use mutants::{Corpus, Dice, envelope, examples, mutate_bytes, mutate_value, mutated, quoted};
use schemas::{Clock, Envelope, Event, InboxKey, Newest, PayloadError, Sequence, UserCreatedV2};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{FAILURE_ATTRIBUTE, FailureReport, RejectedAs, Worker, WorkerSettings};

/// What the handler of user-service answers to an event without a `sequence`.
const BY_HANDLER: &str = "rejected";
/// The attribute by which a dead letter is told from others with the same body.
const NUMBER: &str = "number";

struct Mutant {
    body: String,
    guarded: Vec<String>,
}

/// What is to become of an event.
#[derive(Debug, Clone)]
enum Fate {
    Applied { key: InboxKey, raised: bool, sequence: Sequence, event: Box<UserCreatedV2> },
    Rejected(&'static str),
}

#[tokio::test]
async fn ten_thousand_mutated_events_are_each_applied_or_rejected_with_the_reason() {
    assert_all_are_accounted_for(fixtures::embedded_bus().await, 10_000).await;
}

#[tokio::test]
async fn on_sns_and_sqs_mutated_events_are_each_applied_or_rejected_with_the_reason() {
    assert_all_are_accounted_for(fixtures::bus().await, 1_000).await;
}

async fn assert_all_are_accounted_for(bus: TestBus, count: usize) {
    let database = fixtures::user_database().await;
    let (queue, dead_letters) = bus.subscribe(user_service::NAME, &[UserCreatedV2::TYPE], QueueSettings::DEFAULT).await;
    let now = Clock::system().now();
    let mutants = mutants(count, now);
    let messages: Vec<_> = mutants.iter().enumerate().map(message).collect();
    for result in queue.send(&messages).await {
        result.unwrap();
    }

    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let settings = WorkerSettings { wait: StdDuration::from_secs(1), ..WorkerSettings::new("test", "0.0.0-test") };
    let (pool, clock) = (database.pool.clone(), Clock::reading(move || now));
    let consumer = user_service::consumer(clock.clone());
    let worker = Worker::new(consumer, queue.clone(), dead_letters.clone(), pool.clone(), settings, clock);
    let running = tokio::spawn(worker.run(soft.clone(), hard));
    until_empty(&*queue, || assert!(!running.is_finished(), "the worker died")).await;
    soft.cancel();
    running.await.unwrap().unwrap();

    let oldest = worker::oldest_applicable(&pool).await.unwrap();
    let fates: Vec<_> = mutants.iter().map(|mutant| fate_of(&mutant.body, oldest, now)).collect();
    let dead = reports(&*dead_letters).await;
    assert_rejected_for_the_right_reason(&mutants, &fates, &dead);
    assert_nothing_is_quoted(&mutants, &dead);
    let applied = applied(&fates);
    assert_inbox(&pool, &fates, &applied).await;
    assert_profiles(&pool, &applied).await;

    let failures: Vec<(String, i64)> = sqlx::query_as(
        "SELECT reason, count(*) FROM event_failures WHERE class = 'reject' AND dead_lettered GROUP BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(failures.into_iter().collect::<BTreeMap<_, _>>(), by_reason(&dead));
    let other: i64 = sqlx::query_scalar("SELECT count(*) FROM event_failures WHERE class <> 'reject'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(other, 0, "nothing was tried in vain");
}

/// What the fuzz target looks for, without a fuzzer.
#[test]
fn no_mutated_event_panics_a_reader_or_is_quoted() {
    for mutant in mutants(2_000, Clock::system().now()) {
        fuzzed::check(mutant.body.as_bytes());
    }
}

/// The messages: mutants of examples, of which some come in an SNS notification, and copies of earlier ones.
fn mutants(count: usize, now: OffsetDateTime) -> Vec<Mutant> {
    let handled = user_service::declared().events();
    let (ours, others): (Vec<_>, Vec<_>) =
        examples().into_iter().partition(|example| example.entry.event_type == UserCreatedV2::TYPE);
    // Those that user-service does not know.
    let others = others.into_iter().filter(|example| !handled.contains(&example.entry.event_type)).collect();
    let (ours, others) = (Corpus::of(ours), Corpus::of(others));
    let mut dice = Dice::seeded(6);
    let mut users: Vec<Uuid> = Vec::new();
    let mut mutants: Vec<Mutant> = Vec::with_capacity(count);
    while mutants.len() < count {
        let round = mutants.len();
        if round % 12 == 11 {
            let Mutant { body, guarded } = &mutants[dice.below(round)];
            mutants.push(Mutant { body: body.clone(), guarded: guarded.clone() });
            continue;
        }
        let example = if round % 10 == 9 { others.pick(round / 10) } else { ours.pick(dice.below(1_000)) };
        let mut envelope = envelope(example);
        let at = match round % 50 {
            17 => now - Duration::days(40),
            18 => now + Duration::days(2),
            _ => now - Duration::minutes(round as i64 % 20_000),
        };
        stamp(&mut dice, &mut envelope, at, example.valid.then_some(&mut users));
        if round % 50 == 21 {
            envelope["schemaversion"] = json!(3);
        }
        let mut body = match round % 4 {
            0 => with_unknown_fields(&mut dice, envelope),
            _ => mutated(&mut dice, envelope),
        };
        if round.is_multiple_of(9) {
            body = json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn", "Message": body}).to_string();
            if round.is_multiple_of(27) {
                body = mutate_bytes(&mut dice, &body);
            }
        }
        let mutant = Mutant { body, guarded: example.guarded() };
        // What no bus would carry gets another throw.
        if check_sendable(&message((round, &mutant))).is_ok() {
            mutants.push(mutant);
        }
    }
    mutants
}

/// An id and a time of its own, and a user: one who registers now, or one of whom an event was seen already.
fn stamp(dice: &mut Dice, envelope: &mut Map<String, Value>, at: OffsetDateTime, users: Option<&mut Vec<Uuid>>) {
    envelope["id"] = json!(schemas::event_id(at));
    envelope["time"] = json!(at.format(&Rfc3339).unwrap());
    envelope["sequence"] = json!(Sequence::after(None, at));
    if let Some(users) = users {
        let user = match users.len() {
            known if dice.below(8) == 0 && known > 0 => users[dice.below(known)],
            _ => schemas::event_id(at),
        };
        users.push(user);
        envelope["subject"] = json!(user);
        if let Some(id) = envelope["data"].get_mut("userId") {
            *id = json!(user);
        }
    }
}

/// Mutated where no reader looks: most of these stay valid.
fn with_unknown_fields(dice: &mut Dice, mut envelope: Map<String, Value>) -> String {
    let mut foreign = json!({"size": 43, "tags": ["a", "b"], "deep": [[[{}]]]});
    mutate_value(dice, &mut foreign);
    if let Some(data) = envelope["data"].as_object_mut() {
        data.insert("shoes".to_owned(), foreign.clone());
    }
    envelope.insert("shoes".to_owned(), foreign);
    Value::Object(envelope).to_string()
}

fn message((number, mutant): (usize, &Mutant)) -> OutgoingMessage {
    let attributes = [(NUMBER.to_owned(), number.to_string())].into();
    OutgoingMessage { body: mutant.body.clone(), attributes }
}

fn fate_of(body: &str, oldest: OffsetDateTime, now: OffsetDateTime) -> Fate {
    let Ok((envelope, key)) = Envelope::read(unwrap_notification(body).as_str()) else {
        return Fate::Rejected(RejectedAs::Undecodable.as_str());
    };
    let reason = match UserCreatedV2::read(envelope.schemaversion, &envelope.data) {
        _ if envelope.event_type != UserCreatedV2::TYPE.as_str() => RejectedAs::UnknownEvent.as_str(),
        _ if key.time() < oldest => RejectedAs::BeyondDedupWindow.as_str(),
        _ if key.time() > now + Duration::days(1) => RejectedAs::ClockSkew.as_str(),
        Err(PayloadError::UnknownVersion { .. }) => RejectedAs::UnknownVersion.as_str(),
        Err(PayloadError::Unreadable(_)) => RejectedAs::BreaksSchema.as_str(),
        Ok(event) => match envelope.sequence {
            None => BY_HANDLER,
            Some(sequence) => {
                let raised = UserCreatedV2::needs_upcast(envelope.schemaversion);
                return Fate::Applied { key, raised, sequence, event: Box::new(event) };
            }
        },
    };
    Fate::Rejected(reason)
}

/// Each time something has left the queue, the deadline starts anew.
async fn until_empty(queue: &dyn Queue, still_fine: impl Fn()) {
    let mut left = u64::MAX;
    while left > 0 {
        left = eventually("something leaves the queue", async || {
            still_fine();
            let counts = queue.counts().await.unwrap();
            Some(counts.visible + counts.in_flight).filter(|now| *now < left)
        })
        .await;
    }
}

/// The dead letters' reports, each with the number of its message.
async fn reports(dead_letters: &dyn Queue) -> Vec<(usize, FailureReport)> {
    let request = ReceiveRequest { max: 10, wait: StdDuration::ZERO, visibility: StdDuration::from_secs(600) };
    let mut reports = Vec::new();
    loop {
        let messages = dead_letters.receive(request).await.unwrap();
        if messages.is_empty() && dead_letters.counts().await.unwrap().visible == 0 {
            return reports;
        }
        reports.extend(messages.iter().map(report));
    }
}

fn report(dead: &RawMessage) -> (usize, FailureReport) {
    let number = dead.attributes[NUMBER].parse().unwrap();
    let report = dead.attributes.get(FAILURE_ATTRIBUTE);
    let report = report.unwrap_or_else(|| panic!("the dead letter of {} has no report", dead.body));
    (number, serde_json::from_str(report).unwrap())
}

fn by_reason(dead: &[(usize, FailureReport)]) -> BTreeMap<String, i64> {
    let mut reasons = BTreeMap::new();
    for (_, report) in dead {
        *reasons.entry(report.reason.clone()).or_insert(0) += 1;
    }
    reasons
}

fn assert_rejected_for_the_right_reason(mutants: &[Mutant], fates: &[Fate], dead: &[(usize, FailureReport)]) {
    let mut reports = HashMap::new();
    for (number, report) in dead {
        let before = reports.insert(*number, report);
        assert!(before.is_none(), "one message, two dead letters: {}", mutants[*number].body);
    }
    // Copies that were in one hand share a dead letter, where the handler was asked.
    let by_handler = dead.iter().filter(|(_, report)| report.reason == BY_HANDLER);
    let by_handler: HashSet<_> = by_handler.map(|(number, _)| mutants[*number].body.as_str()).collect();
    for (number, (mutant, fate)) in mutants.iter().zip(fates).enumerate() {
        let reason = reports.get(&number).map(|report| report.reason.as_str());
        match fate {
            Fate::Applied { .. } => assert_eq!(reason, None, "{}: {:?}", mutant.body, reports[&number]),
            Fate::Rejected(BY_HANDLER) => assert!(by_handler.contains(mutant.body.as_str()), "lost: {}", mutant.body),
            Fate::Rejected(expected) => assert_eq!(reason, Some(*expected), "{}", mutant.body),
        }
    }
    let found: BTreeMap<_, _> = by_reason(dead);
    let all = ["beyond-dedup-window", "breaks-schema", "clock-skew", BY_HANDLER, "undecodable", "unknown-event"];
    let all: Vec<_> = all.into_iter().chain(["unknown-version"]).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), all, "{found:?}");
}

fn assert_nothing_is_quoted(mutants: &[Mutant], dead: &[(usize, FailureReport)]) {
    for (number, FailureReport { message, causes, .. }) in dead {
        let Mutant { body, guarded } = &mutants[*number];
        let told = format!("{message}\n{}", causes.join("\n"));
        assert_eq!(quoted(guarded, &told), None, "of {body} in `{told}`");
    }
}

/// What is to be applied: each event once, with the number of its copies.
fn applied(fates: &[Fate]) -> HashMap<Uuid, (&Fate, i64)> {
    let mut applied = HashMap::new();
    for fate in fates {
        if let Fate::Applied { key, .. } = fate {
            applied.entry(key.as_uuid()).or_insert((fate, -1)).1 += 1;
        }
    }
    applied
}

async fn assert_inbox(pool: &sqlx::PgPool, fates: &[Fate], applied: &HashMap<Uuid, (&Fate, i64)>) {
    let rows: Vec<(Uuid, i32, i32)> =
        sqlx::query_as("SELECT event_key, schema_version, redeliveries FROM event_logs").fetch_all(pool).await.unwrap();
    let found: BTreeMap<_, _> =
        rows.iter().map(|(key, version, copies)| (*key, (*version == 1, i64::from(*copies)))).collect();
    let expected: BTreeMap<_, _> = applied
        .iter()
        .map(|(key, (fate, copies))| (*key, (matches!(fate, Fate::Applied { raised: true, .. }), *copies)))
        .collect();
    assert_eq!(found, expected);

    let rejected = fates.iter().filter(|fate| matches!(fate, Fate::Rejected(_))).count() as i64;
    let raised = found.values().filter(|(raised, _)| *raised).count();
    let copies: i64 = found.values().map(|(_, copies)| copies).sum();
    let once = found.len() as i64;
    assert_eq!(once + copies + rejected, fates.len() as i64);
    eprintln!("{once} applied, {raised} of them raised; {copies} copies ignored; {rejected} rejected");
    let enough = |part: i64| part * 100 > fates.len() as i64;
    assert!(enough(raised as i64) && enough(once - raised as i64) && enough(copies) && enough(rejected));
}

/// The address of each user is the newest that was seen, and the registration the earliest, whatever came first.
async fn assert_profiles(pool: &sqlx::PgPool, applied: &HashMap<Uuid, (&Fate, i64)>) {
    let mut expected: BTreeMap<Uuid, (Sequence, String, OffsetDateTime)> = BTreeMap::new();
    for (fate, _) in applied.values() {
        let Fate::Applied { sequence, event, .. } = fate else { continue };
        let (email, at) = (event.email.as_str().to_owned(), event.timestamp);
        expected
            .entry(event.user_id)
            .and_modify(|(newest, address, earliest)| {
                *earliest = at.min(*earliest);
                if *sequence > *newest {
                    (*newest, *address) = (*sequence, email.clone());
                }
            })
            .or_insert((*sequence, email, at));
    }
    let rows: Vec<(Uuid, String, i64, OffsetDateTime)> =
        sqlx::query_as("SELECT user_id, email, email_sequence, registered_at FROM user_profiles ORDER BY user_id")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(rows.len(), expected.len());
    for ((user, (newest, address, earliest)), row) in expected.into_iter().zip(rows) {
        assert_eq!((user, &address, newest.get()), (row.0, &row.1, row.2));
        // A column holds microseconds.
        assert!((row.3 - earliest).abs() < Duration::microseconds(1), "{} is not {earliest}", row.3);
    }
    assert!(applied.len() > rows_of(applied), "no user has had two events, so none was stale");
}

fn rows_of(applied: &HashMap<Uuid, (&Fate, i64)>) -> usize {
    let users = applied.values().filter_map(|(fate, _)| match fate {
        Fate::Applied { event, .. } => Some(event.user_id),
        Fate::Rejected(_) => None,
    });
    users.collect::<HashSet<_>>().len()
}
