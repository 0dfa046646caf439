//! What is kept of a subject, and that it goes; what is on record, and that it stays.

use redrive::{Operation, Pace, Verb, archive, audit, edit::Edit};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::place::{Place, approval};

async fn count(place: &Place, table: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(statement).fetch_one(&place.database.pool).await.unwrap()
}

#[tokio::test]
async fn erasing_a_subject_takes_its_archive_its_edits_and_its_journal_and_leaves_the_record() {
    let bus = fixtures::embedded_bus().await;
    let place = Place::make(&bus).await;
    let letters = place.bury(2).await;
    let (pool, clock) = (&place.database.pool, &place.clock);
    let snapshot = place.snapshot().await;
    let plan = place.plan(&snapshot, Verb::Discard).await;
    let operation = Operation::begin(pool, clock, &plan, &snapshot, None, &approval()).await.unwrap();
    let stop = CancellationToken::new();
    let (speed, approved) = (Pace::default(), approval());
    let carried = operation.carry_out(&place.places, &snapshot, &plan, &[], &speed, &approved, &stop, |_| {});
    assert_eq!(carried.await.unwrap().letters.len(), 2);
    operation.end("ended", None).await.unwrap();

    for sent in place.places.dead_letters.send(&[letters[0].message.clone()]).await {
        sent.unwrap();
    }
    let snapshot = place.snapshot().await;
    let mut plan = place.plan(&snapshot, Verb::Edit).await;
    plan.letters.truncate(1);
    let letter = snapshot.read(&[0], pool).await.unwrap().pop().unwrap();
    let mut edited: Value = serde_json::from_str(&Edit::to_edit(&letter).unwrap()).unwrap();
    edited["data"]["email"] = Value::from("grace@example.com");
    let edit = Edit::of(&letter, &edited.to_string(), &place.inbox).unwrap();
    assert_eq!(edit.changes(), ["replace /data/email"]);
    let operation = Operation::begin(pool, clock, &plan, &snapshot, Some((&letter, &edit)), &approval()).await.unwrap();
    operation.carry_out(&place.places, &snapshot, &plan, &[], &speed, &approval(), &stop, |_| {}).await.unwrap();
    operation.end("ended", None).await.unwrap();

    let kept = ["redrive_archive", "redrive_edits", "redrive_journal"];
    let mut before = Vec::new();
    for table in kept {
        before.push(count(&place, table).await);
    }
    assert_eq!(before, [2, 1, 3]);
    let mut tx = pool.begin().await.unwrap();
    let gone = archive::erase_subjects(&mut tx, &[letters[0].user.to_string()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(gone, 4);
    for (table, left) in kept.into_iter().zip([1, 0, 1]) {
        assert_eq!(count(&place, table).await, left, "{table}");
        let statement = sqlx::AssertSqlSafe(format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t"));
        let text: String = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
        assert!(!text.contains(&letters[0].user.to_string()) && !text.contains("grace@"), "{table}: {text}");
    }
    assert_eq!(audit::of_letter(pool, &letters[0].id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_on_record_cannot_be_changed_or_deleted() {
    let bus = fixtures::embedded_bus().await;
    let place = Place::make(&bus).await;
    place.bury(1).await;
    let snapshot = place.snapshot().await;
    let plan = place.plan(&snapshot, Verb::Replay).await;
    let pool = &place.database.pool;
    Operation::begin(pool, &place.clock, &plan, &snapshot, None, &approval())
        .await
        .unwrap()
        .end("ended", None)
        .await
        .unwrap();
    for statement in [
        "UPDATE redrive_operations SET actor = 'nobody'",
        "DELETE FROM redrive_operations",
        "TRUNCATE redrive_audit",
        "UPDATE redrive_audit SET outcome = 'nothing'",
        "DELETE FROM redrive_audit",
    ] {
        let refused = sqlx::query(statement).execute(pool).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("23001"), "{statement}: {refused}");
    }
}

/// As long as a worker would still apply them, and no longer.
#[tokio::test]
async fn what_was_archived_goes_when_no_worker_would_apply_it_any_more() {
    let bus = fixtures::embedded_bus().await;
    let place = Place::make(&bus).await;
    place.bury(2).await;
    let (pool, clock) = (&place.database.pool, &place.clock);
    let snapshot = place.snapshot().await;
    let plan = place.plan(&snapshot, Verb::Discard).await;
    let operation = Operation::begin(pool, clock, &plan, &snapshot, None, &approval()).await.unwrap();
    let (speed, approved, stop) = (Pace::default(), approval(), CancellationToken::new());
    operation.carry_out(&place.places, &snapshot, &plan, &[], &speed, &approved, &stop, |_| {}).await.unwrap();
    operation.end("ended", None).await.unwrap();
    let age = "UPDATE redrive_archive SET archived_at = archived_at - $2::int4 * interval '1 day' WHERE letter_id = $1";
    for (planned, days) in plan.letters.iter().zip([27, 29]) {
        sqlx::query(age).bind(&planned.id).bind(days).execute(pool).await.unwrap();
    }
    // Whoever works here next tidies up.
    place.bury(1).await;
    let snapshot = place.snapshot().await;
    let next = place.plan(&snapshot, Verb::Replay).await;
    Operation::begin(pool, clock, &next, &snapshot, None, &approval()).await.unwrap();
    let left = archive::find(pool, plan.operation, &[]).await.unwrap();
    let left: Vec<_> = left.iter().map(|letter| letter.letter_id.as_str()).collect();
    assert_eq!(left, [plan.letters[0].id.as_str()]);
}
