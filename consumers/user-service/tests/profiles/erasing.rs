//! What an erasure takes away, what it answers, and what comes afterwards.

use std::collections::BTreeSet;

use schemas::{Envelope, UserErasureCompletedV1};
use sqlx::AssertSqlSafe;
use uuid::Uuid;
use worker::Outcome;

use crate::{
    events::{Kind, NOON, deleted, email, event, user},
    world::{World, world},
};

const ERASURE: Uuid = Uuid::from_u128(0xe7a5);
const OTHER_ERASURE: Uuid = Uuid::from_u128(0xe7a6);
/// Stands in every field that can hold something of a person.
const MARK: &str = "qzjxkvwq";

/// Tables that can hold something of a person: emptied of them, or with nothing left in their row.
const PERSONAL: [&str; 9] = [
    "addresses",
    "idempotency_keys",
    "payment_methods",
    "redrive_archive",
    "redrive_edits",
    "redrive_journal",
    "user_preferences",
    "user_profiles",
    "wishlist_items",
];
/// Those that hold ids, or what operators did, and nothing of a person.
const OTHERS: [&str; 8] = [
    "_sqlx_migrations",
    "event_failures",
    "event_logs",
    "outbox",
    "products",
    "redrive_audit",
    "redrive_operations",
    "workers",
];

async fn tables(world: &World) -> BTreeSet<String> {
    let tables = "SELECT relname::text FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";
    sqlx::query_scalar(tables).fetch_all(&world.database.pool).await.unwrap().into_iter().collect()
}

async fn dump(world: &World, table: &str) -> String {
    let dump = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t");
    sqlx::query_scalar(AssertSqlSafe(dump)).fetch_one(&world.database.pool).await.unwrap()
}

/// Everything that may be kept of a user, with the mark in it.
async fn fill(world: &World, number: u128) {
    let (user, operation) = (user(number), Uuid::from_u128(0x0b_0000 + number));
    let id = |kind: u128| Uuid::from_u128(kind << 64 | number);
    world.deliver_one(&event(Kind::Created, number, 1)).await;
    world
        .execute(&format!(
            "UPDATE user_profiles SET display_name = '{MARK}', email = '{MARK}@example.com', display_name_edited = true
              WHERE user_id = '{user}';
             INSERT INTO addresses (id, user_id, recipient, line1, line2, city, region, postal_code, country, phone,
                                    is_default_shipping, is_default_billing)
             VALUES ('{}', '{user}', '{MARK}', '{MARK}', '{MARK}', '{MARK}', '{MARK}', '{MARK}', 'DE', '+4930123456',
                     true, true);
             INSERT INTO payment_methods (id, user_id, provider, provider_token, brand, last4, exp_month, exp_year,
                                          is_default)
             VALUES ('{}', '{user}', 'provider', '{MARK}{number}', '{MARK}', '4242', 12, 2030, true);
             INSERT INTO user_preferences (user_id, time_zone) VALUES ('{user}', '{MARK}');
             INSERT INTO wishlist_items (user_id, product_id) VALUES ('{user}', '{}');
             INSERT INTO idempotency_keys (user_id, route, key, request_sha256, location, etag, body, created_at)
             VALUES ('{user}', 'POST /{MARK}', '{MARK}', sha256('{MARK}'), '/{MARK}', '{MARK}', '{MARK}', now());
             INSERT INTO redrive_operations (operation_id, verb, consumer, queue, actor, reason, filter, plan, begun_at)
             VALUES ('{operation}', 'discard', 'user-service', 'user-service-dlq', 'operator', 'a test', '{{}}', '{{}}', now());
             INSERT INTO redrive_archive (operation_id, letter_key, letter_id, subject, body, attributes, archived_at)
             VALUES ('{operation}', 'key', 'id', '{user}', '{MARK}', '{{}}', now());
             INSERT INTO redrive_edits (operation_id, letter_key, letter_id, subject, original, patch, edited_sha256, edited_at)
             VALUES ('{operation}', 'key', 'id', '{user}', '{MARK}', '[]', '', now());
             INSERT INTO redrive_journal (operation_id, letter_key, letter_id, subject, action, state, receipts, changed_at)
             VALUES ('{operation}', 'key', 'id', '{user}', 'discard', 'archived', '{{{MARK}}}', now())",
            id(1),
            id(2),
            id(3),
        ))
        .await;
}

#[tokio::test]
async fn nothing_of_an_erased_user_is_left_in_any_table_and_others_lose_nothing() {
    let world = world().await;
    let known: BTreeSet<_> = PERSONAL.iter().chain(&OTHERS).map(|table| (*table).to_owned()).collect();
    assert_eq!(tables(&world).await, known, "a table that this test does not know may hold something of a person");
    fill(&world, 2).await;
    let mut others = Vec::new();
    for table in PERSONAL {
        others.push(dump(&world, table).await);
    }
    fill(&world, 1).await;
    for table in PERSONAL {
        let kept = dump(&world, table).await;
        let rows: Vec<_> = kept.lines().filter(|row| row.contains(&user(1).to_string())).collect();
        assert_eq!(rows.len(), 1, "{table}: {kept}");
        // A wish names nobody but by the ids.
        assert!(table == "wishlist_items" || rows[0].contains(MARK), "{table}: {kept}");
    }
    assert!(matches!(world.deliver_one(&deleted(1, ERASURE, 9)).await, Outcome::Applied));
    for (table, other) in PERSONAL.iter().zip(others) {
        let kept = dump(&world, table).await;
        let of_the_user: Vec<_> = kept.lines().filter(|row| row.contains(&user(1).to_string())).collect();
        match *table {
            "user_profiles" => assert_eq!(of_the_user.len(), 1, "{kept}"),
            _ => assert!(of_the_user.is_empty(), "{table}: {kept}"),
        }
        let kept: Vec<_> = kept.lines().filter(|row| !of_the_user.contains(row)).collect();
        assert_eq!(kept.join("\n"), other, "{table}");
    }
    world.deliver_one(&deleted(2, OTHER_ERASURE, 9)).await;
    for table in known {
        let kept = dump(&world, &table).await;
        for personal in [MARK, &email(1, 1), &email(2, 1), "User 1", "+4930123456"] {
            assert!(!kept.contains(personal), "{table}: {kept}");
        }
    }
}

#[tokio::test]
async fn an_erasure_is_answered_once_however_often_it_is_delivered() {
    let world = world().await;
    world.deliver_one(&event(Kind::Created, 1, 1)).await;
    let asked = deleted(1, ERASURE, 9);
    assert!(matches!(world.deliver_one(&asked).await, Outcome::Applied));
    assert!(matches!(world.deliver_one(&asked).await, Outcome::Duplicate));
    let answers = world.answers().await;
    assert_eq!(answers.len(), 1);
    let (read, _) = Envelope::read(&answers[0].to_string()).unwrap();
    assert_eq!((read.source.as_str(), read.event_type.as_str()), ("user-service", "user.erasure.completed"));
    let answer: UserErasureCompletedV1 = serde_json::from_str(read.data.get()).unwrap();
    assert_eq!((answer.user_id, answer.erasure_id, answer.timestamp), (user(1), ERASURE, NOON));
    assert_eq!((answer.service.as_str(), answer.source.as_str()), ("user-service", "user-service"));
}

/// An answer may have been lost, so whoever is told again answers again, each time as a newer version.
#[tokio::test]
async fn an_erased_user_who_is_deleted_again_is_answered_again() {
    let world = world().await;
    for (asked, version) in [(ERASURE, 8), (ERASURE, 9), (OTHER_ERASURE, 5)] {
        assert!(matches!(world.deliver_one(&deleted(1, asked, version)).await, Outcome::Applied));
    }
    // Together with somebody else.
    let together = [deleted(1, ERASURE, 10), deleted(1, OTHER_ERASURE, 11), deleted(2, ERASURE, 1)];
    assert!(world.deliver(&together).await.iter().all(|outcome| matches!(outcome, Outcome::Applied)));
    let expected = [ERASURE, ERASURE, OTHER_ERASURE, ERASURE, OTHER_ERASURE].map(|asked| (user(1), asked));
    let mut answered = world.answered().await;
    assert_eq!(answered.pop(), Some((user(2), ERASURE)));
    assert_eq!(answered, expected);
    let sequences: BTreeSet<_> =
        world.answers().await[..5].iter().map(|answer| answer["sequence"].to_string()).collect();
    assert_eq!(sequences.len(), 5, "each answer has a version of its own");
}

#[tokio::test]
async fn an_erased_user_stays_erased_whatever_comes_afterwards() {
    let world = world().await;
    world.deliver_one(&deleted(1, ERASURE, 9)).await;
    let tombstone = world.row().await;
    for kind in Kind::ALL {
        // Older and newer than the deletion.
        for version in [3, 30] {
            assert!(matches!(world.deliver_one(&event(kind, 1, version)).await, Outcome::Stale), "{kind:?}");
        }
    }
    assert_eq!(world.row().await, tombstone);
    let bring_back = "UPDATE user_profiles SET display_name = 'Ada'";
    let refused = sqlx::query(bring_back).execute(&world.database.pool).await.unwrap_err();
    assert!(refused.to_string().contains("user_profiles_erased_is_empty"), "{refused}");
}

#[tokio::test]
async fn a_deletion_without_a_sequence_is_rejected_and_erases_nobody() {
    let world = world().await;
    world.deliver_one(&event(Kind::Created, 1, 1)).await;
    let mut unversioned = deleted(1, ERASURE, 9);
    unversioned.sequence = None;
    assert!(matches!(world.deliver_one(&unversioned).await, Outcome::DeadLettered(_)));
    assert_eq!(world.row().await["status"], "active");
    assert!(world.answers().await.is_empty());
}
