//! What user-service makes of its events: any order and any number of copies end in the same rows.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use contracts::{Sampler, payload_fields};
use fixtures::user_database;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{Envelope, Header, InboxKey, SchemaEntry, Sequence, UserCreatedV1, UserCreatedV2};
use serde_json::Value;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime, macros::datetime};
use user_service::RecordProfile;
use uuid::Uuid;
use worker::{ApplyEvents, Received, Verdict};

const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// An event about one of a few users, with one of a few versions.
#[derive(Debug, Clone)]
struct Change {
    event: UserCreatedV2,
    sequence: Option<Sequence>,
    key: InboxKey,
}

fn change(user: u128, version: i64) -> Change {
    let event = UserCreatedV1 {
        user_id: Uuid::from_u128(user),
        email: format!("user{user}-v{version}@example.com").try_into().unwrap(),
        timestamp: NOON + Duration::seconds(version),
        source: "auth-service".to_owned(),
    };
    let sequence = Sequence::from_stored(version);
    let header =
        Header { id: schemas::event_id(NOON), source: "auth-service", time: NOON, sequence, traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    let (_, key) = Envelope::read(&body).unwrap();
    Change { event: event.into(), sequence: Some(sequence), key }
}

/// Applies a batch in a transaction, as the worker does.
async fn apply(pool: &PgPool, batch: &[Change]) -> Vec<Verdict> {
    let received: Vec<_> = batch
        .iter()
        .map(|change| Received {
            event: &change.event,
            key: change.key,
            source: "auth-service",
            time: NOON,
            sequence: change.sequence,
        })
        .collect();
    let mut tx = pool.begin().await.unwrap();
    let verdicts = RecordProfile.apply(&mut tx, &received).await.unwrap();
    tx.commit().await.unwrap();
    verdicts
}

type Row = (Uuid, String, Option<String>, i64, Option<OffsetDateTime>);

async fn rows(pool: &PgPool) -> Vec<Row> {
    sqlx::query_as("SELECT user_id, status, email, email_sequence, registered_at FROM user_profiles ORDER BY user_id")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[test]
fn any_order_batching_and_duplication_end_in_the_same_profiles() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(user_database());
    // (user, version, copies) in an order to be shuffled, and where to cut batches.
    let history = prop::collection::vec((1u128..4, 1i64..6, 1usize..3), 1..12);
    let strategy = (history, any::<prop::sample::Index>(), any::<u64>(), 1usize..6);
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(history, start, seed, batch)| {
        let mut changes: Vec<_> = history
            .iter()
            .flat_map(|(user, version, copies)| std::iter::repeat_n(change(*user, *version), *copies))
            .collect();
        let mut expected = std::collections::BTreeMap::new();
        for (user, version, _) in &history {
            let (oldest, newest) = expected.entry(*user).or_insert((*version, *version));
            (*oldest, *newest) = ((*oldest).min(*version), (*newest).max(*version));
        }
        let expected: Vec<Row> = expected
            .into_iter()
            .map(|(user, (oldest, newest))| {
                let email = format!("user{user}-v{newest}@example.com");
                let registered = NOON + Duration::seconds(oldest);
                (Uuid::from_u128(user), "active".to_owned(), Some(email), newest, Some(registered))
            })
            .collect();
        let middle = start.index(changes.len());
        changes.rotate_left(middle);
        changes.sort_by_key(|change| change.key.as_uuid().as_u128().wrapping_mul(u128::from(seed) | 1));
        let found = runtime.block_on(async {
            sqlx::query("TRUNCATE user_profiles").execute(&database.pool).await.unwrap();
            for batch in changes.chunks(batch) {
                apply(&database.pool, batch).await;
            }
            rows(&database.pool).await
        });
        prop_assert_eq!(found, expected);
        Ok(())
    });
    tested.unwrap();
}

#[tokio::test]
async fn an_older_version_is_stale_and_changes_nothing() {
    let database = user_database().await;
    assert!(matches!(apply(&database.pool, &[change(1, 9)]).await.as_slice(), [Verdict::Applied]));
    let before = rows(&database.pool).await;
    let older = Change { event: change(1, 9).event, ..change(1, 3) };
    assert!(matches!(apply(&database.pool, &[older]).await.as_slice(), [Verdict::Stale]));
    assert_eq!(rows(&database.pool).await, before);
}

#[tokio::test]
async fn an_event_that_comes_after_a_newer_address_still_says_when_the_user_registered() {
    let database = user_database().await;
    sqlx::query("INSERT INTO user_profiles (user_id, email, email_sequence) VALUES ($1, 'new@example.com', 50)")
        .bind(Uuid::from_u128(1))
        .execute(&database.pool)
        .await
        .unwrap();
    assert!(matches!(apply(&database.pool, &[change(1, 3)]).await.as_slice(), [Verdict::Applied]));
    let (email, registered): (String, OffsetDateTime) =
        sqlx::query_as("SELECT email, registered_at FROM user_profiles").fetch_one(&database.pool).await.unwrap();
    assert_eq!((email.as_str(), registered), ("new@example.com", NOON + Duration::seconds(3)));
}

#[tokio::test]
async fn an_erased_user_stays_erased() {
    let database = user_database().await;
    sqlx::query("INSERT INTO user_profiles (user_id, status) VALUES ($1, 'deleted')")
        .bind(Uuid::from_u128(1))
        .execute(&database.pool)
        .await
        .unwrap();
    assert!(matches!(apply(&database.pool, &[change(1, 9)]).await.as_slice(), [Verdict::Stale]));
    assert_eq!(rows(&database.pool).await, [(Uuid::from_u128(1), "deleted".to_owned(), None, 0, None)]);
}

#[tokio::test]
async fn an_event_without_a_sequence_is_rejected_and_its_neighbour_is_applied() {
    let database = user_database().await;
    let unversioned = Change { sequence: None, ..change(1, 1) };
    let verdicts = apply(&database.pool, &[unversioned, change(2, 1)]).await;
    assert!(matches!(verdicts.as_slice(), [Verdict::Reject(_), Verdict::Applied]), "{verdicts:?}");
    assert_eq!(rows(&database.pool).await.len(), 1);
}

/// What a handler declares decides whom a check of schemas warns. So each field is changed in turn, and the outcome may
/// change with those that are declared, and has to.
#[tokio::test]
async fn the_handler_reads_the_fields_that_it_declares_and_no_others() {
    let pool = user_database().await.pool;
    let outcome = async |payload: &Value| -> Vec<Value> {
        let event: UserCreatedV2 = serde_json::from_value(payload.clone()).unwrap();
        sqlx::query("DELETE FROM user_profiles").execute(&pool).await.unwrap();
        assert!(matches!(apply(&pool, &[Change { event, ..change(1, 1) }]).await[..], [Verdict::Applied]));
        let rows = "SELECT to_jsonb(p) - 'created_at' - 'updated_at' FROM user_profiles AS p";
        sqlx::query_scalar(rows).fetch_all(&pool).await.unwrap()
    };
    let entry = SchemaEntry::newest("user.created").unwrap();
    let mut samples = Sampler::new(entry, 3).unwrap();
    let base = samples.sample().unwrap();
    let before = outcome(&base).await;
    for field in payload_fields(&entry.json_schema()) {
        let changed = loop {
            let other = samples.sample().unwrap();
            let value = other.pointer(&field.pointer);
            if value != base.pointer(&field.pointer) {
                let mut changed = base.clone();
                let name = field.pointer.trim_start_matches('/').to_owned();
                match value {
                    Some(value) => drop(changed.as_object_mut().unwrap().insert(name, value.clone())),
                    None => drop(changed.as_object_mut().unwrap().remove(&name)),
                }
                break changed;
            }
        };
        let is_declared = RecordProfile::READS.contains(&field.pointer.as_str());
        assert_eq!(outcome(&changed).await != before, is_declared, "{}", field.pointer);
    }
}
