//! Weekly range partitions on a UUID v7 key: made ahead, dropped behind, never a mass DELETE.
//!
//! A UUID v7 starts with its time, so a range of keys is a range of time and a week is one partition. There is no
//! default partition: it would block making the week it already holds rows for, and it would take in keys whose week
//! was dropped, which for an inbox means applying an old event again.
//!
//! [`maintain`] may run in any number of processes at once. It looks before it locks, takes locks that let reads and
//! writes go on where PostgreSQL has such (ATTACH, not CREATE … PARTITION OF), and gives up on a lock after two seconds:
//! the next run tries again, and weeks are made long before they are needed.

mod week;

use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, PgTransaction};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use week::Week;

/// A table partitioned by [`Week`], and how long its weeks live.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    /// Weeks that are wholly older than this are dropped.
    pub keep: Duration,
    /// SQL condition on rows that must not be dropped: a week that holds one stays until it holds none.
    pub hold: Option<&'static str>,
}

/// Weeks that exist beyond the current one, so that maintenance may fail for most of a month.
pub const WEEKS_AHEAD: i64 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintained {
    pub made: Vec<Week>,
    pub dropped: Vec<Week>,
    /// Old enough to drop, but with rows that hold them.
    pub held: Vec<Week>,
    /// The first instant that has a partition.
    pub oldest: OffsetDateTime,
}

#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    #[error("could not maintain the partitions of {table}")]
    Database { table: &'static str, source: sqlx::Error },
    #[error("{table} has a partition `{partition}` that is not a week")]
    NotAWeek { table: &'static str, partition: String },
}

/// Makes the weeks from `now - keep` to [`WEEKS_AHEAD`] after `now`, and drops those before. Idempotent.
pub async fn maintain(pool: &PgPool, table: Table, now: OffsetDateTime) -> Result<Maintained, PartitionError> {
    let failed = |source| PartitionError::Database { table: table.name, source };
    let mut connection = pool.acquire().await.map_err(failed)?;

    let first = Week::of(now - table.keep);
    let last = Week::of(now).plus(WEEKS_AHEAD);
    let existing = weeks(&mut connection, table).await?;
    // Never a week before those that exist: it was dropped, or never kept, and an empty one would claim that it knows which
    // of its events were applied.
    let first_made = existing.iter().min().map_or(first, |oldest| first.max(*oldest));
    let missing: Vec<_> = Week::range(first_made, last).filter(|week| !existing.contains(week)).collect();
    let expired: Vec<_> = existing.iter().copied().filter(|week| *week < first).collect();

    let mut done = Maintained { made: vec![], dropped: vec![], held: vec![], oldest: first_made.start() };
    for week in missing {
        if make(&mut connection, table, week).await.map_err(failed)? {
            done.made.push(week);
        }
    }
    for (at, week) in expired.iter().copied().enumerate() {
        match drop_week(&mut connection, table, week).await {
            Ok(true) => done.dropped.push(week),
            Ok(false) => done.held.push(week),
            // Somebody reads the table, and would keep the others' locks waiting too. What is left is dropped by a later run;
            // what is needed is there.
            Err(error) => {
                tracing::warn!(%error, table = table.name, %week, "an old week could not be dropped yet");
                done.held.extend(&expired[at..]);
                break;
            }
        }
    }
    if let Some(oldest) = done.held.iter().min() {
        done.oldest = oldest.start();
    }
    Ok(done)
}

/// The first instant that has a partition; `None` where the table has none at all.
pub async fn oldest(pool: &PgPool, table: Table) -> Result<Option<OffsetDateTime>, PartitionError> {
    let mut connection =
        pool.acquire().await.map_err(|source| PartitionError::Database { table: table.name, source })?;
    Ok(weeks(&mut connection, table).await?.into_iter().min().map(Week::start))
}

/// Weeks from that of `now` to [`WEEKS_AHEAD`] after it that have no partition. Writes nothing.
pub async fn missing(pool: &PgPool, table: Table, now: OffsetDateTime) -> Result<Vec<Week>, PartitionError> {
    let mut connection =
        pool.acquire().await.map_err(|source| PartitionError::Database { table: table.name, source })?;
    let existing = weeks(&mut connection, table).await?;
    let (this, last) = (Week::of(now), Week::of(now).plus(WEEKS_AHEAD));
    Ok(Week::range(this, last).filter(|week| !existing.contains(week)).collect())
}

async fn weeks(connection: &mut PgConnection, table: Table) -> Result<Vec<Week>, PartitionError> {
    let failed = |source| PartitionError::Database { table: table.name, source };
    // Looking locks too: `pg_get_expr` opens the partition that it describes. It answers NULL for one that another
    // process dropped meanwhile.
    let mut tx = impatient(connection).await.map_err(failed)?;
    let rows = sqlx::query!(
        r#"WITH partitions AS MATERIALIZED (
               SELECT c.relname::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
                 FROM pg_inherits i
                 JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = to_regclass($1)
           )
           SELECT name AS "name!", substring(bound FROM 'FROM \(''([0-9a-f-]{36})''\)')::uuid AS lower
             FROM partitions
            WHERE bound IS NOT NULL"#,
        table.name
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            let week = row.lower.and_then(Week::from_lower_bound);
            week.ok_or(PartitionError::NotAWeek { table: table.name, partition: row.name })
        })
        .collect()
}

/// Answers whether this call made the week; another process may have been faster.
async fn make(connection: &mut PgConnection, table: Table, week: Week) -> Result<bool, sqlx::Error> {
    let (name, partition) = (table.name, week.partition_of(table.name));
    let mut tx = begin(connection, table).await?;
    if exists(&mut tx, &partition).await? {
        return Ok(false);
    }
    // Making the table first and attaching it then locks the parent so that reads and writes go on.
    let (lower, upper) = (week.lower_bound(), week.plus(1).lower_bound());
    tx.execute(AssertSqlSafe(format!("CREATE TABLE {partition} (LIKE {name} INCLUDING ALL)"))).await?;
    tx.execute(AssertSqlSafe(format!(
        "ALTER TABLE {name} ATTACH PARTITION {partition} FOR VALUES FROM ('{lower}') TO ('{upper}')"
    )))
    .await?;
    tx.commit().await?;
    Ok(true)
}

async fn drop_week(connection: &mut PgConnection, table: Table, week: Week) -> Result<bool, sqlx::Error> {
    let partition = week.partition_of(table.name);
    let mut tx = begin(connection, table).await?;
    if !exists(&mut tx, &partition).await? {
        return Ok(true);
    }
    if let Some(condition) = table.hold {
        let held = AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {partition} WHERE {condition})"));
        if sqlx::query_scalar::<_, bool>(held).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
    }
    tx.execute(AssertSqlSafe(format!("DROP TABLE {partition}"))).await?;
    tx.commit().await?;
    Ok(true)
}

/// A transaction that gives up on a lock.
async fn impatient(connection: &mut PgConnection) -> Result<PgTransaction<'_>, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(connection).await?;
    tx.execute("SET LOCAL lock_timeout = '2s'").await?;
    Ok(tx)
}

async fn begin(connection: &mut PgConnection, table: Table) -> Result<PgTransaction<'_>, sqlx::Error> {
    let mut tx = impatient(connection).await?;
    // Processes that maintain the same table take turns; without this, two would race to create one partition.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('waypost-partitions:' || $1, 0))")
        .bind(table.name)
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

async fn exists(connection: &mut PgConnection, partition: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(partition).fetch_one(connection).await
}

/// The smallest key of an instant, for range conditions on a key column.
pub fn smallest_key(at: OffsetDateTime) -> Uuid {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}
