//! What applying migrations promises, and what their status tells, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod shared_tables;

use std::time::{Duration, Instant};

use fixtures::{TestDatabase, eventually};
use futures_util::future::join_all;
use migrations::{Database, MigrationState, MigrationStatus};
use sqlx::{Connection, Executor, PgConnection, migrate::MigrateError};

/// [`migrations::LOCK_TIMEOUT`], and what a busy machine may add to it.
const GIVES_UP_AFTER: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(30);

async fn empty(database: Database) -> TestDatabase {
    TestDatabase::empty(match database {
        Database::Auth => "AUTH_DATABASE_URL",
        Database::Product => "PRODUCT_DATABASE_URL",
        Database::User => "USER_DATABASE_URL",
        Database::Mailer => "MAILER_DATABASE_URL",
        Database::Bus => "BUS_DATABASE_URL",
    })
    .await
}

async fn connect(test: &TestDatabase) -> PgConnection {
    PgConnection::connect(&test.url).await.unwrap()
}

/// Every table and index with the file that holds it, and every record of a migration: what is made or written again
/// shows.
async fn snapshot(test: &TestDatabase) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT relname::text, oid || ' ' || relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace
          UNION ALL
         SELECT version::text, m::text FROM _sqlx_migrations m
          ORDER BY 1",
    )
    .fetch_all(&test.pool)
    .await
    .unwrap()
}

async fn is_empty(test: &TestDatabase) -> bool {
    sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)")
        .fetch_one(&test.pool)
        .await
        .unwrap()
}

fn states(migrations: &[MigrationStatus]) -> Vec<MigrationState> {
    migrations.iter().map(|migration| migration.state).collect()
}

fn versions(migrations: &[MigrationStatus]) -> Vec<i64> {
    migrations.iter().map(|migration| migration.version).collect()
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    for database in Database::ALL {
        let test = empty(database).await;
        let mut connection = connect(&test).await;
        let applied = database.migrate(&mut connection).await.unwrap();
        assert!(!applied.is_empty() && applied.is_sorted_by_key(|migration| migration.version), "{applied:?}");
        assert!(states(&applied).iter().all(|state| *state == MigrationState::Applied));
        assert_eq!(database.status(&mut connection).await.unwrap(), applied);

        let lock_timeout: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut connection).await.unwrap();
        assert_eq!(lock_timeout, "0", "the connection is as it was");

        let before = snapshot(&test).await;
        assert_eq!(database.migrate(&mut connection).await.unwrap(), []);
        assert_eq!(database.migrate(&mut connect(&test).await).await.unwrap(), []);
        assert_eq!(snapshot(&test).await, before);
    }
}

#[tokio::test]
async fn the_status_of_an_empty_database_is_all_pending_and_looking_writes_nothing() {
    for database in Database::ALL {
        let test = empty(database).await;
        let mut connection = connect(&test).await;
        let pending = database.status(&mut connection).await.unwrap();
        assert!(!pending.is_empty());
        assert!(states(&pending).iter().all(|state| *state == MigrationState::Pending), "{pending:?}");
        assert!(is_empty(&test).await);
        let applied = database.migrate(&mut connection).await.unwrap();
        assert_eq!(versions(&applied), versions(&pending));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_at_once_take_turns_and_each_migration_is_applied_and_told_once() {
    for database in Database::ALL {
        let test = empty(database).await;
        let expected = versions(&database.status(&mut connect(&test).await).await.unwrap());
        let connections = join_all([(); 6].map(|()| connect(&test))).await;
        let migrating = connections
            .into_iter()
            .map(|mut connection| tokio::spawn(async move { database.migrate(&mut connection).await.unwrap() }));
        let told = join_all(migrating).await.into_iter().map(Result::unwrap);
        let mut told: Vec<_> = told.flat_map(|applied| versions(&applied)).collect();
        told.sort_unstable();
        assert_eq!(told, expected);
    }
}

/// Somebody whose turn it is, for as long as the connection lives.
async fn somebody_in_turn(test: &TestDatabase) -> PgConnection {
    let mut somebody = connect(test).await;
    somebody.execute("SELECT pg_advisory_lock(hashtextextended('waypost-migrate', 0))").await.unwrap();
    somebody
}

#[tokio::test]
async fn whoever_waits_for_its_turn_waits_longer_than_for_a_lock_on_a_table() {
    let test = empty(Database::Auth).await;
    let (somebody, mut other) = (somebody_in_turn(&test).await, connect(&test).await);
    let start = Instant::now();
    let migrating = tokio::spawn(async move { Database::Auth.migrate(&mut other).await });
    eventually("an end, or a long wait", async || {
        (migrating.is_finished() || start.elapsed() > GIVES_UP_AFTER + Duration::from_secs(1)).then_some(())
    })
    .await;
    assert!(!migrating.is_finished(), "{:?}", migrating.await.unwrap());
    assert!(is_empty(&test).await);
    somebody.close().await.unwrap();
    assert!(!migrating.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_waits_for_its_turn_is_not_waited_for_by_an_index_made_concurrently() {
    let test = empty(Database::Auth).await;
    let (mut somebody, mut other) = (somebody_in_turn(&test).await, connect(&test).await);
    let waiting: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    let migrating = tokio::spawn(async move { Database::Auth.migrate(&mut other).await });
    eventually("somebody who waits", async || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%advisory_lock%'";
        let waits: i64 = sqlx::query_scalar(waits).bind(waiting).fetch_one(&test.pool).await.unwrap();
        (waits > 0).then_some(())
    })
    .await;
    somebody.execute("CREATE TABLE things (id int)").await.unwrap();
    somebody.execute("CREATE INDEX CONCURRENTLY things_id ON things (id)").await.unwrap();
    somebody.close().await.unwrap();
    assert!(!migrating.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn a_migration_gives_up_on_a_lock_leaves_no_trace_of_itself_and_can_be_tried_again() {
    let test = empty(Database::Auth).await;
    // Whoever has a table of the same name in hand.
    let mut other = connect(&test).await;
    let mut held = other.begin().await.unwrap();
    held.execute("CREATE TABLE outbox ()").await.unwrap();

    let mut connection = connect(&test).await;
    let start = Instant::now();
    let error = tokio::time::timeout(AT_MOST, Database::Auth.migrate(&mut connection)).await.unwrap().unwrap_err();
    assert!(start.elapsed() >= GIVES_UP_AFTER, "{:?}", start.elapsed());
    let MigrateError::ExecuteMigration(sqlx::Error::Database(cause), version) = error else { panic!("{error:?}") };
    assert_eq!(cause.code().as_deref(), Some("55P03"), "{cause}");
    held.rollback().await.unwrap();

    let status = Database::Auth.status(&mut connect(&test).await).await.unwrap();
    assert!(status.iter().all(|m| (m.state == MigrationState::Pending) == (m.version >= version)), "{status:?}");

    // Not by the one that gave up, which is still connected: it must not keep the turn.
    let mut next = connect(&test).await;
    let applied = tokio::time::timeout(AT_MOST, Database::Auth.migrate(&mut next)).await.expect("a turn").unwrap();
    assert_eq!(applied[0].version, version);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_edited_after_it_was_applied_is_named_and_nothing_is_applied() {
    let test = empty(Database::Auth).await;
    let mut connection = connect(&test).await;
    let all = Database::Auth.migrate(&mut connection).await.unwrap();
    let [first, second, ..] = &all[..] else { panic!("{all:?}") };
    sqlx::query("UPDATE _sqlx_migrations SET checksum = 'another' WHERE version = $1")
        .bind(first.version)
        .execute(&test.pool)
        .await
        .unwrap();
    forget(&test, second).await;

    let status = Database::Auth.status(&mut connection).await.unwrap();
    assert_eq!(status[0], MigrationStatus { state: MigrationState::Edited, ..first.clone() });
    assert_eq!(status[1], MigrationStatus { state: MigrationState::Pending, ..second.clone() });

    let before = snapshot(&test).await;
    let error = Database::Auth.migrate(&mut connection).await.unwrap_err();
    assert!(matches!(error, MigrateError::VersionMismatch(version) if version == first.version), "{error:?}");
    assert_eq!(snapshot(&test).await, before);
}

#[tokio::test]
async fn a_version_that_the_binary_does_not_know_is_named_and_nothing_is_applied() {
    let test = empty(Database::User).await;
    let mut connection = connect(&test).await;
    let all = Database::User.migrate(&mut connection).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (20991231235959, 'from the future', true, '', 0)",
    )
    .execute(&test.pool)
    .await
    .unwrap();
    let last = all.last().unwrap();
    forget(&test, last).await;

    let status = Database::User.status(&mut connection).await.unwrap();
    let unknown = MigrationStatus {
        version: 20_991_231_235_959,
        description: "from the future".to_owned(),
        state: MigrationState::Unknown,
    };
    assert_eq!(status.len(), all.len() + 1);
    assert_eq!(status[all.len()], unknown);
    assert_eq!(status[all.len() - 1], MigrationStatus { state: MigrationState::Pending, ..last.clone() });

    let before = snapshot(&test).await;
    let error = Database::User.migrate(&mut connection).await.unwrap_err();
    assert!(matches!(error, MigrateError::VersionMissing(version) if version == unknown.version), "{error:?}");
    assert_eq!(snapshot(&test).await, before);
}

#[tokio::test]
async fn a_migration_that_did_not_finish_is_named_and_nothing_is_applied() {
    let test = empty(Database::User).await;
    let mut connection = connect(&test).await;
    let all = Database::User.migrate(&mut connection).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET success = false WHERE version = $1")
        .bind(all[0].version)
        .execute(&test.pool)
        .await
        .unwrap();
    let status = Database::User.status(&mut connection).await.unwrap();
    assert_eq!(status[0], MigrationStatus { state: MigrationState::Unfinished, ..all[0].clone() });
    assert_eq!(status[1..], all[1..]);
    let error = Database::User.migrate(&mut connection).await.unwrap_err();
    assert!(matches!(error, MigrateError::Dirty(version) if version == all[0].version), "{error:?}");
}

/// As though the migration had never been applied, as far as its record tells.
async fn forget(test: &TestDatabase, migration: &MigrationStatus) {
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1")
        .bind(migration.version)
        .execute(&test.pool)
        .await
        .unwrap();
}
