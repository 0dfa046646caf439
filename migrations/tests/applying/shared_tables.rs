//! Every consumer's database has the same inbox, and tables of the same make for what operators do; every producer's has
//! the same outbox. One crate each reads and writes them, wherever they are.

use std::collections::BTreeSet;

use migrations::Database;

use crate::{connect, empty};

/// The tables that every consumer's database has.
const INBOX: &str = "c.relname IN ('event_logs', 'event_failures', 'workers') OR starts_with(c.relname, 'redrive_')";
/// The table that every producer's database has.
const OUTBOX: &str = "c.relname = 'outbox'";

/// Everything that is said of them: how they are partitioned, columns, constraints, indexes, triggers, functions.
async fn said_of(tables: &str, database: Database) -> BTreeSet<String> {
    let test = empty(database).await;
    database.migrate(&mut connect(&test).await).await.unwrap();
    let said = format!(
        "WITH those AS (
             SELECT c.* FROM pg_class c
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND ({tables})
         )
         SELECT format('%s: %s %s', relname, relkind, pg_get_partkeydef(oid)) FROM those
          UNION ALL
         SELECT format('%s.%s: %s, not null %s, identity %s, generated %s, collation %s, default %s', relname, attname,
                       format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation,
                       pg_get_expr(adbin, adrelid))
           FROM those JOIN pg_attribute a ON attrelid = those.oid AND attnum > 0 AND NOT attisdropped
           LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          UNION ALL
         SELECT format('%s: %s %s', relname, conname, pg_get_constraintdef(k.oid))
           FROM those JOIN pg_constraint k ON conrelid = those.oid
          UNION ALL
         SELECT pg_get_indexdef(indexrelid) FROM those JOIN pg_index ON indrelid = those.oid
          UNION ALL
         SELECT pg_get_triggerdef(t.oid) FROM those JOIN pg_trigger t ON tgrelid = those.oid AND NOT tgisinternal
          UNION ALL
         SELECT pg_get_functiondef(oid) FROM pg_proc
          WHERE starts_with(proname, 'redrive_') AND EXISTS (SELECT FROM those WHERE starts_with(relname, 'redrive_'))"
    );
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(said)).fetch_all(&test.pool).await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn the_inbox_and_the_redrive_tables_are_the_same_in_every_consumers_database() {
    let expected = said_of(INBOX, Database::User).await;
    for part in ["event_logs: p RANGE (event_key)", "CREATE INDEX event_failures_fingerprint", "append_only BEFORE"] {
        assert!(expected.iter().any(|said| said.contains(part)), "{part} is not looked at: {expected:#?}");
    }
    for database in Database::ALL.into_iter().filter(|database| database.has_inbox() && *database != Database::User) {
        let found = said_of(INBOX, database).await;
        let differ: Vec<_> = found.symmetric_difference(&expected).collect();
        assert!(differ.is_empty(), "{} and user_db differ in {differ:#?}", database.folder());
    }
}

#[tokio::test]
async fn the_outbox_is_the_same_in_every_producers_database() {
    let expected = said_of(OUTBOX, Database::Auth).await;
    for part in ["outbox: p RANGE (event_id)", "CREATE INDEX outbox_pending", "outbox_unpublished_keeps_envelope"] {
        assert!(expected.iter().any(|said| said.contains(part)), "{part} is not looked at: {expected:#?}");
    }
    for database in Database::ALL.into_iter().filter(|database| database.has_outbox() && *database != Database::Auth) {
        let found = said_of(OUTBOX, database).await;
        let differ: Vec<_> = found.symmetric_difference(&expected).collect();
        assert!(differ.is_empty(), "{} and auth_db differ in {differ:#?}", database.folder());
    }
}

#[tokio::test]
async fn a_database_has_the_outbox_and_the_inbox_that_it_is_said_to_have() {
    for database in Database::ALL {
        let test = empty(database).await;
        database.prepare(&test.pool).await.unwrap();
        database.migrate(&mut connect(&test).await).await.unwrap();
        let has = "SELECT to_regclass('public.outbox') IS NOT NULL, to_regclass('public.event_logs') IS NOT NULL";
        let has: (bool, bool) = sqlx::query_as(has).fetch_one(&test.pool).await.unwrap();
        assert_eq!(has, (database.has_outbox(), database.has_inbox()), "{}", database.folder());
    }
}
