//! The worker's own SQL, for what is compared with it: references do the same work, or they would prove nothing.
//!
//! Each file in `sql/` is one statement of the platform. A test looks for it in `.sqlx`, where the statements are that
//! the platform was compiled with, so that a reference can't be left behind.

use anyhow::ensure;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::backlog::Columns;

pub const CLAIM: &str = include_str!("../sql/claim.sql");
pub const RECORD_PROFILE: &str = include_str!("../sql/record_profile.sql");
pub const PREPARE: &str = include_str!("../sql/prepare.sql");
pub const ACCOUNT: &str = include_str!("../sql/account.sql");

pub const HANDLER: &str = "record_profile";
const LOCK_TIMEOUT: &str = "5000";
const STATEMENT_TIMEOUT: &str = "30000";

/// Claims a batch; answers how many of it are new.
pub async fn claim(tx: &mut Transaction<'_, Postgres>, batch: &Columns) -> Result<usize, sqlx::Error> {
    let claiming = sqlx::query_scalar::<_, Vec<Uuid>>(AssertSqlSafe(CLAIM))
        .bind(&batch.keys)
        .bind(&batch.ids)
        .bind(&batch.types)
        .bind(&batch.versions)
        .bind(&batch.sources)
        .bind(&batch.subjects)
        .bind(&batch.sequences)
        .bind(&batch.times)
        .bind(HANDLER);
    Ok(claiming.fetch_one(&mut **tx).await?.len())
}

/// One batch in one transaction, with every statement that a worker sends for it.
pub async fn apply(pool: &PgPool, batch: &Columns) -> anyhow::Result<()> {
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let preparing = sqlx::query(AssertSqlSafe(PREPARE)).bind(LOCK_TIMEOUT).bind(STATEMENT_TIMEOUT);
    preparing.fetch_one(&mut *tx).await?;
    let claimed = claim(&mut tx, batch).await?;
    ensure!(claimed == batch.keys.len(), "{claimed} of {} events were new", batch.keys.len());
    let recording = sqlx::query(AssertSqlSafe(RECORD_PROFILE))
        .bind(&batch.users)
        .bind(&batch.emails)
        .bind(&batch.verified)
        .bind(&batch.sequences)
        .bind(&batch.roles)
        .bind(&batch.sequences)
        .bind(&batch.statuses)
        .bind(&batch.reasons)
        .bind(&batch.sequences)
        .bind(&batch.token_versions)
        .bind(&batch.registered)
        .bind(&batch.names);
    recording.fetch_one(&mut *tx).await?;
    sqlx::query("SELECT 1").fetch_one(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// A script for `pgbench`: the same statements, with their columns from a table of prepared batches instead of
/// parameters. It saves pgbench the sending, so it is the stricter reference.
pub fn pgbench_script() -> String {
    let given = "FROM (SELECT * FROM prepared_batches WHERE number = :number) AS given, unnest(";
    let from_table = |statement: &str, columns: &[&str]| {
        let mut statement = statement.trim().replace("FROM unnest(", given);
        for (position, column) in columns.iter().enumerate() {
            let parameter = format!("${}::", position + 1);
            statement = statement.replace(&parameter, &format!("given.{column}::"));
        }
        statement
    };
    let claim =
        from_table(CLAIM, &["event_keys", "ids", "types", "versions", "sources", "subjects", "sequences", "times"]);
    let claim = claim.replace("$9", &format!("'{HANDLER}'"));
    let profile =
        ["users", "emails", "verified", "sequences", "role_sets", "sequences", "statuses", "reasons", "sequences"];
    let record = from_table(RECORD_PROFILE, &[&profile[..], &["token_versions", "registered", "names"]].concat());
    let prepare = PREPARE.trim().replace("$1", &format!("'{LOCK_TIMEOUT}'"));
    let prepare = prepare.replace("$2", &format!("'{STATEMENT_TIMEOUT}'"));
    [
        "\\set next :next + 1",
        "\\set number :client_id * :share + :next",
        "BEGIN ISOLATION LEVEL READ COMMITTED;",
        &format!("{prepare};"),
        &format!("{claim};"),
        &format!("{record};"),
        "SELECT 1;",
        "COMMIT;\n",
    ]
    .join("\n")
}

const PREPARED_BATCHES: &str = "CREATE TABLE prepared_batches (
    number integer PRIMARY KEY, event_keys uuid[], ids text[], types text[], versions int4[], sources text[],
    subjects text[], sequences int8[], times timestamptz[], users uuid[], emails text[], verified bool[],
    role_sets text[], statuses text[], reasons text[], token_versions int8[], registered timestamptz[], names text[])";

/// Makes the table that [`pgbench_script`] reads.
pub async fn prepare_batches(pool: &PgPool, batches: &[Columns]) -> Result<(), sqlx::Error> {
    sqlx::query("DROP TABLE IF EXISTS prepared_batches").execute(pool).await?;
    sqlx::query(PREPARED_BATCHES).execute(pool).await?;
    // Reading a batch is not to cost what a worker doesn't pay.
    let texts = ["ids", "types", "sources", "subjects", "emails", "role_sets", "statuses"];
    for column in texts.iter().chain(&["event_keys", "sequences", "times", "users"]) {
        let uncompressed = format!("ALTER TABLE prepared_batches ALTER COLUMN {column} SET STORAGE EXTERNAL");
        sqlx::query(AssertSqlSafe(uncompressed)).execute(pool).await?;
    }
    for (position, batch) in batches.iter().enumerate() {
        let columns: Vec<_> = (1..=18).map(|column| format!("${column}")).collect();
        sqlx::query(AssertSqlSafe(format!("INSERT INTO prepared_batches VALUES ({})", columns.join(", "))))
            .bind(position as i32 + 1)
            .bind(&batch.keys)
            .bind(&batch.ids)
            .bind(&batch.types)
            .bind(&batch.versions)
            .bind(&batch.sources)
            .bind(&batch.subjects)
            .bind(&batch.sequences)
            .bind(&batch.times)
            .bind(&batch.users)
            .bind(&batch.emails)
            .bind(&batch.verified)
            .bind(&batch.roles)
            .bind(&batch.statuses)
            .bind(&batch.reasons)
            .bind(&batch.token_versions)
            .bind(&batch.registered)
            .bind(&batch.names)
            .execute(pool)
            .await?;
    }
    sqlx::query("VACUUM ANALYZE prepared_batches").execute(pool).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use serde_json::Value;

    use super::*;

    fn on_one_line(statement: &str) -> String {
        statement.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn references_do_what_the_platform_does() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
        let compiled: HashSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| {
                let described: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
                on_one_line(described["query"].as_str().unwrap())
            })
            .collect();
        let of_workers = [CLAIM, RECORD_PROFILE, PREPARE, ACCOUNT];
        for statement in of_workers.iter().chain(crate::api::sql::ALL) {
            let statement = on_one_line(statement);
            assert!(compiled.contains(&statement), "the platform has another statement by now than {statement}");
        }
    }

    #[test]
    fn the_script_for_pgbench_has_every_column_from_the_table() {
        let script = pgbench_script();
        assert!(!script.contains('$'), "{script}");
        let columns = PREPARED_BATCHES.split_once("PRIMARY KEY, ").unwrap().1.split(',');
        let columns: Vec<_> = columns.map(|column| column.split_whitespace().next().unwrap()).collect();
        assert_eq!(columns.len(), 17);
        for column in columns {
            assert!(script.contains(&format!("given.{column}::")), "{column} in {script}");
        }
        // The claim's, and one for each group of a profile's columns.
        assert_eq!(script.matches("given.sequences::").count(), 4);
    }
}
