use std::time::{Duration, Instant};

use fixtures::eventually;
use partitions::{Maintained, PartitionError, Week};
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use crate::things::{SUNDAY, THINGS, Things, key, things};

const WEEK: time::Duration = time::Duration::days(7);

/// What `lock_timeout` is while maintaining, and what a busy machine may add to it.
const GIVES_UP_AFTER: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_secs(20);

/// Somebody else, with a connection of their own.
async fn somebody(things: &Things) -> PgConnection {
    PgConnection::connect(&things.database.url).await.unwrap()
}

fn maintaining(
    things: &Things,
    now: time::OffsetDateTime,
) -> JoinHandle<(Result<Maintained, PartitionError>, Duration)> {
    let pool = things.pool().clone();
    tokio::spawn(async move {
        let start = Instant::now();
        let done = tokio::time::timeout(AT_MOST, partitions::maintain(&pool, THINGS, now)).await;
        (done.expect("maintenance gives up on a lock"), start.elapsed())
    })
}

fn assert_gave_up((done, took): &(Result<Maintained, PartitionError>, Duration)) {
    let error = done.as_ref().unwrap_err();
    assert_eq!(error.to_string(), "could not maintain the partitions of things");
    let PartitionError::Database { source: sqlx::Error::Database(source), .. } = error else { panic!("{error:?}") };
    assert_eq!(source.code().as_deref(), Some("55P03"), "{source}");
    assert!((GIVES_UP_AFTER..AT_MOST).contains(took), "{took:?}");
}

#[tokio::test]
async fn weeks_are_made_while_others_read_and_write_in_open_transactions() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    things.insert(SUNDAY, "one").await.unwrap();

    let (mut reader, mut writer) = (somebody(&things).await, somebody(&things).await);
    let mut reading = reader.begin().await.unwrap();
    reading.execute("SELECT * FROM things").await.unwrap();
    let mut writing = writer.begin().await.unwrap();
    writing.execute("SELECT * FROM things FOR UPDATE").await.unwrap();
    writing.execute("UPDATE things SET note = 'changed'").await.unwrap();

    // Nothing is old enough to drop, which would need them gone.
    let done = partitions::maintain(things.pool(), partitions::Table { keep: 10 * WEEK, ..THINGS }, SUNDAY + 2 * WEEK);
    let done = done.await.unwrap();
    assert_eq!(done.made.last(), Some(&Week::of(SUNDAY + 6 * WEEK)));

    sqlx::query("INSERT INTO things VALUES ($1, 'in a new week')")
        .bind(key(SUNDAY + 6 * WEEK))
        .execute(&mut *writing)
        .await
        .unwrap();
    writing.commit().await.unwrap();
    reading.commit().await.unwrap();
    assert_eq!(things.notes().await, ["changed", "in a new week"]);
}

#[tokio::test]
async fn maintenance_that_waits_for_a_lock_holds_up_nobody_then_gives_up_and_later_succeeds() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let before = things.partition_names().await;

    // As VACUUM or CREATE INDEX CONCURRENTLY would: reads and writes may go on, ATTACH may not.
    let mut somebody = somebody(&things).await;
    let mut held = somebody.begin().await.unwrap();
    held.execute("LOCK TABLE ONLY things IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let maintaining = maintaining(&things, SUNDAY + WEEK);
    eventually("maintenance that waits", async || {
        assert!(!maintaining.is_finished(), "maintenance waits for the lock");
        (things.waiting().await > 0).then_some(())
    })
    .await;
    things.insert(SUNDAY, "meanwhile").await.unwrap();
    assert_eq!(things.notes().await, ["meanwhile"]);

    assert_gave_up(&maintaining.await.unwrap());
    assert_eq!(things.partition_names().await, before);

    held.rollback().await.unwrap();
    let done = things.maintain(SUNDAY + WEEK).await.unwrap();
    assert_eq!(done.made, [Week::of(SUNDAY + 5 * WEEK)]);
    assert_eq!(done.dropped, [Week::of(SUNDAY - 2 * WEEK)]);
}

#[tokio::test]
async fn an_old_week_that_somebody_reads_is_held_and_dropped_by_a_later_run() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    things.insert(SUNDAY - 2 * WEEK, "old").await.unwrap();

    let mut somebody = somebody(&things).await;
    let mut reading = somebody.begin().await.unwrap();
    reading.execute("SELECT * FROM things").await.unwrap();
    let (done, took) = maintaining(&things, SUNDAY + WEEK).await.unwrap();
    let done = done.unwrap();
    assert!((GIVES_UP_AFTER..AT_MOST).contains(&took), "{took:?}");
    assert_eq!((done.dropped, done.held), (vec![], vec![Week::of(SUNDAY - 2 * WEEK)]));
    assert_eq!(done.oldest, Week::of(SUNDAY - 2 * WEEK).start());
    assert_eq!(things.notes().await, ["old"]);
    things.insert(SUNDAY + 5 * WEEK, "new").await.unwrap();

    reading.commit().await.unwrap();
    let done = things.maintain(SUNDAY + WEEK).await.unwrap();
    assert_eq!((done.made, done.dropped), (vec![], vec![Week::of(SUNDAY - 2 * WEEK)]));
    assert_eq!(things.notes().await, ["new"]);
}

#[tokio::test]
async fn maintenance_gives_up_on_a_table_that_is_locked_altogether() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let mut somebody = somebody(&things).await;
    let mut held = somebody.begin().await.unwrap();
    held.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert_gave_up(&maintaining(&things, SUNDAY + WEEK).await.unwrap());
    held.rollback().await.unwrap();
    things.maintain(SUNDAY + WEEK).await.unwrap();
}

#[tokio::test]
async fn one_that_gave_up_leaves_its_turn_to_the_next() {
    let things = things().await;
    let mut somebody = somebody(&things).await;
    let mut held = somebody.begin().await.unwrap();
    held.execute("LOCK TABLE ONLY things IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let (first, second) = (maintaining(&things, SUNDAY), maintaining(&things, SUNDAY));
    assert_gave_up(&first.await.unwrap());
    assert_gave_up(&second.await.unwrap());
    assert!(things.partitions().await.is_empty());
    held.rollback().await.unwrap();
    assert_eq!(things.maintain(SUNDAY).await.unwrap().made.len(), 7);
}

#[tokio::test]
async fn a_week_that_another_process_is_dropping_is_not_taken_for_something_else() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let mut somebody = somebody(&things).await;
    let mut dropping = somebody.begin().await.unwrap();
    dropping.execute("DROP TABLE things_20261102").await.unwrap();
    let maintaining = maintaining(&things, SUNDAY + WEEK);
    eventually("maintenance that waits", async || (things.waiting().await > 0).then_some(())).await;
    dropping.commit().await.unwrap();
    let (done, _) = maintaining.await.unwrap();
    assert_eq!(done.unwrap().made, [Week::of(SUNDAY + 5 * WEEK)]);
}
