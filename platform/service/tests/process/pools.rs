//! Connections: which is given to the next one as it is, and which the driver's pool looks at first.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use fixtures::{TestDatabase, auth_database, eventually};
use service::{
    postgres::{Pool, PooledConnection, PostgresSettings, is_unavailable},
    settings::AppEnv,
};
use sqlx::{Executor, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::{select, time::timeout};

use crate::within_deadline;

/// The driver's pool, with these parameters.
fn driver(database: &TestDatabase, parameters: &str) -> PgPool {
    let separator = if database.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}{parameters}", database.url);
    PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Development).unwrap().connect_lazy("test")
}

async fn process(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}

async fn released(mut connection: PooledConnection) -> i32 {
    let process = process(&mut connection).await;
    connection.release();
    process
}

/// How many processes of the server are at a statement of this text.
async fn busy(database: &TestDatabase, text: &str) -> i64 {
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1 AND datname = current_database()";
    sqlx::query_scalar(busy).bind(text).fetch_one(&database.pool).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_broke_while_it_was_idle_is_replaced_and_costs_one_refusal_at_the_most() {
    let database = auth_database().await;
    let driver = driver(&database, "connection_limit=1");
    let pool = Pool::new(driver);
    let server_process = async || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool).await;
    let first = server_process().await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(first).execute(&database.pool).await.unwrap();
    eventually("it is gone", async || {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pg_stat_activity WHERE pid = $1").bind(first);
        (left.fetch_one(&database.pool).await.unwrap() == 0).then_some(())
    })
    .await;
    let mut refused = 0;
    let second = loop {
        match server_process().await {
            Ok(process) => break process,
            Err(error) => {
                assert!(is_unavailable(&error), "{error}");
                refused += 1;
            }
        }
    };
    assert_ne!(second, first);
    assert!(refused <= 1, "{refused}");
}

/// A pool that keeps what it is given, and how often the driver's pool gave it a connection that was there already.
fn keeping(database: &TestDatabase) -> (Pool, Arc<AtomicU32>) {
    lent_for(Duration::from_hours(1), database)
}

fn lent_for(lent_for: Duration, database: &TestDatabase) -> (Pool, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let driver = PgPoolOptions::new().max_connections(1).before_acquire(move |_, _| {
        counted.fetch_add(1, Relaxed);
        Box::pin(async { Ok(true) })
    });
    (Pool::lent_for(lent_for, driver.connect_lazy(&database.url).unwrap()), asked)
}

#[tokio::test]
async fn what_ended_well_is_kept_for_the_next_one() {
    let database = auth_database().await;
    let (pool, asked) = keeping(&database);
    let first = released(pool.acquire().await.unwrap()).await;
    let mut connection = pool.acquire().await.unwrap();
    connection.begin().await.unwrap().commit().await.unwrap();
    drop(connection);
    pool.execute("SELECT 1").await.unwrap();
    sqlx::query("SELECT generate_series(1, 3)").fetch_all(&pool).await.unwrap();
    sqlx::query("SELECT 1").fetch_one(&pool).await.unwrap();
    assert_eq!(released(pool.acquire().await.unwrap()).await, first);
    assert_eq!(asked.load(Relaxed), 0);
}

#[tokio::test]
async fn what_did_not_end_well_is_not_kept() {
    let database = auth_database().await;
    let (pool, asked) = keeping(&database);
    let first = released(pool.acquire().await.unwrap()).await;
    let is_from_the_driver = async |after: &str| {
        let before = asked.load(Relaxed);
        assert_eq!(released(pool.acquire().await.unwrap()).await, first, "{after}");
        assert_eq!(asked.load(Relaxed), before + 1, "{after}");
    };
    drop(pool.acquire().await.unwrap());
    is_from_the_driver("nobody said how it ended").await;
    pool.execute("SELECT 1 / 0").await.unwrap_err();
    is_from_the_driver("a statement failed").await;
    sqlx::query("SELECT 1 / n FROM generate_series(3, 0, -1) AS n").fetch_all(&pool).await.unwrap_err();
    is_from_the_driver("a row failed").await;

    let mut connection = pool.acquire().await.unwrap();
    drop(connection.begin().await.unwrap());
    drop(connection);
    is_from_the_driver("a transaction was rolled back").await;

    // Whoever goes on after a commit has to say again how that ended.
    let mut connection = pool.acquire().await.unwrap();
    connection.begin().await.unwrap().commit().await.unwrap();
    connection.execute("SELECT 1 / 0").await.unwrap_err();
    drop(connection);
    is_from_the_driver("a statement after a commit failed").await;
    let mut connection = pool.acquire().await.unwrap();
    connection.begin().await.unwrap().commit().await.unwrap();
    drop(connection.begin().await.unwrap());
    drop(connection);
    is_from_the_driver("a transaction after a commit was rolled back").await;
}

#[tokio::test]
async fn what_is_in_use_all_the_time_is_seen_by_the_drivers_pool_as_well() {
    let database = auth_database().await;
    let (pool, asked) = lent_for(Duration::from_millis(50), &database);
    let seen = async {
        while asked.load(Relaxed) < 3 {
            pool.execute("SELECT 1").await.unwrap();
        }
    };
    within_deadline("it was seen three times", seen).await;
}

#[tokio::test]
async fn what_nobody_takes_for_a_while_goes_to_the_drivers_pool() {
    let database = auth_database().await;
    let driver = driver(&database, "connection_limit=3");
    let pool = Pool::lent_for(Duration::from_millis(50), driver.clone());
    for _ in 0..3 {
        let both = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
        both.into_iter().for_each(PooledConnection::release);
        eventually("they are there", async || (driver.num_idle() == 2).then_some(())).await;
    }
    assert_eq!(driver.size(), 2);
}

#[tokio::test]
async fn what_was_not_committed_is_rolled_back_though_nobody_uses_the_connection_again() {
    let database = auth_database().await;
    let (pool, _) = keeping(&database);
    database.pool.execute("CREATE TABLE tills (coins int); INSERT INTO tills VALUES (1)").await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("UPDATE tills SET coins = 2").await.unwrap();
    drop(transaction);
    drop(connection);
    let update = database.pool.execute("UPDATE tills SET coins = coins + 10");
    within_deadline("nobody holds the row", update).await.unwrap();
    let coins: i32 = sqlx::query_scalar("SELECT coins FROM tills").fetch_one(&database.pool).await.unwrap();
    assert_eq!(coins, 11);
}

#[tokio::test]
async fn nobody_is_given_a_connection_on_which_something_still_goes_on() {
    const WAITING: &str = "SELECT pg_advisory_lock(7)";
    let database = auth_database().await;
    let pool = Pool::new(driver(&database, "connection_limit=2"));
    let mut holder = database.pool.acquire().await.unwrap();
    holder.execute("SELECT pg_advisory_lock(7)").await.unwrap();
    select! {
        _ = pool.execute(WAITING) => panic!("it is locked"),
        () = eventually("the server waits", async || (busy(&database, WAITING).await == 1).then_some(())) => {}
    }
    let next = within_deadline("another one is free", pool.acquire()).await.unwrap();
    released(next).await;
    assert_eq!(busy(&database, WAITING).await, 1);
    holder.execute("SELECT pg_advisory_unlock(7)").await.unwrap();
}

#[tokio::test]
async fn one_connection_is_left_to_whoever_uses_the_drivers_pool() {
    let database = auth_database().await;
    let driver = driver(&database, "connection_limit=3&pool_timeout=1");
    let pool = Pool::new(driver.clone());
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let refused = pool.acquire().await.map(drop).unwrap_err();
    assert!(matches!(refused, sqlx::Error::PoolTimedOut), "{refused}");
    within_deadline("the third", driver.acquire()).await.unwrap();
    held.into_iter().for_each(PooledConnection::release);
    within_deadline("the first two", async { (pool.acquire().await.unwrap(), pool.acquire().await.unwrap()) }).await;
}

#[tokio::test]
async fn who_waits_is_served_in_turn_by_what_is_given_back() {
    let database = auth_database().await;
    let (pool, _) = keeping(&database);
    let held = pool.acquire().await.unwrap();
    let (order, turns) = (Mutex::new(Vec::new()), 20);
    let turn = async |turn: i32| {
        let connection = pool.acquire().await.unwrap();
        order.lock().unwrap().push(turn);
        released(connection).await
    };
    let all = futures_util::future::join_all((0..turns).map(turn));
    let all = async { tokio::join!(all, async { held.release() }).0 };
    let processes = within_deadline("all had their turn", all).await;
    assert_eq!(*order.lock().unwrap(), (0..turns).collect::<Vec<_>>());
    assert!(processes.iter().all(|process| *process == processes[0]), "{processes:?}");
}

#[tokio::test]
async fn a_pool_that_was_closed_gives_nothing_and_ends_what_it_kept() {
    let database = auth_database().await;
    let driver = driver(&database, "connection_limit=3");
    let pool = Pool::new(driver.clone());
    pool.execute("SELECT 1").await.unwrap();
    timeout(Duration::from_secs(20), driver.close()).await.unwrap();
    assert!(matches!(pool.acquire().await.map(drop), Err(sqlx::Error::PoolClosed)));
}
