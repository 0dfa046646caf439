//! The migrations of every database, embedded in the binary, and what applying and checking them means.
//!
//! Forward only: see the README beside the folders for the rule (expand, deploy, contract) that makes that safe.

use std::time::Duration;

use pgmq::{PgmqError, install::install_sql_from_embedded};
use sqlx::{
    AssertSqlSafe, Executor, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
};

static AUTH_DB: Migrator = sqlx::migrate!("./auth_db");
static BUS_DB: Migrator = sqlx::migrate!("./bus_db");
static MAILER_DB: Migrator = sqlx::migrate!("./mailer_db");
static PRODUCT_DB: Migrator = sqlx::migrate!("./product_db");
static USER_DB: Migrator = sqlx::migrate!("./user_db");

/// How long a migration waits for a lock before it gives up, instead of queueing every query of a live service behind
/// itself.
pub const LOCK_TIMEOUT: &str = "5s";

/// A database that Waypost owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Auth,
    Product,
    User,
    Mailer,
    /// The embedded bus, where there is one.
    Bus,
}

/// One migration, as the binary and the database know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    pub version: i64,
    pub description: String,
    pub state: MigrationState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    Applied,
    /// In the binary, not in the database.
    Pending,
    /// Applied, but the file has been edited since.
    Edited,
    /// In the database, not in the binary: an older binary looks at a newer database.
    Unknown,
    /// Started and not finished.
    Unfinished,
}

impl Database {
    pub const ALL: [Self; 5] = [Self::Auth, Self::Product, Self::User, Self::Mailer, Self::Bus];

    /// The name on the command line, and the prefix of the database's variables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Product => "product",
            Self::User => "user",
            Self::Mailer => "mailer",
            Self::Bus => "bus",
        }
    }

    /// The folder of its migrations, beside this crate's sources.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Auth => "auth_db",
            Self::Product => "product_db",
            Self::User => "user_db",
            Self::Mailer => "mailer_db",
            Self::Bus => "bus_db",
        }
    }

    /// Whether a service sends from it.
    pub const fn has_outbox(self) -> bool {
        matches!(self, Self::Auth | Self::User | Self::Product)
    }

    /// Whether a consumer's worker applies to it.
    pub const fn has_inbox(self) -> bool {
        matches!(self, Self::Auth | Self::User | Self::Mailer)
    }

    fn migrator(self) -> &'static Migrator {
        match self {
            Self::Auth => &AUTH_DB,
            Self::Product => &PRODUCT_DB,
            Self::User => &USER_DB,
            Self::Mailer => &MAILER_DB,
            Self::Bus => &BUS_DB,
        }
    }

    /// Installs or updates what a database stands on beside its migrations: PGMQ under the bus, as plain SQL, since the
    /// extension may not be there. Idempotent. To be done before [`migrate`](Self::migrate).
    pub async fn prepare(self, pool: &PgPool) -> Result<(), PgmqError> {
        match self {
            Self::Bus => install_sql_from_embedded(pool).await,
            Self::Auth | Self::Product | Self::User | Self::Mailer => Ok(()),
        }
    }

    /// Whether [`prepare`](Self::prepare) was done; whether it would update anything, only doing it tells. Writes nothing.
    pub async fn is_prepared(self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        match self {
            Self::Bus => sqlx::query_scalar("SELECT to_regclass('pgmq.meta') IS NOT NULL").fetch_one(connection).await,
            Self::Auth | Self::Product | Self::User | Self::Mailer => Ok(true),
        }
    }

    /// Applies what is pending, in order, each in a transaction of its own. Safe to run from several places at once: they
    /// take turns. Answers what was applied.
    pub async fn migrate(self, connection: &mut PgConnection) -> Result<Vec<MigrationStatus>, MigrateError> {
        wait_for_turn(connection).await?;
        let applied = self.migrate_in_turn(connection).await;
        // All, because the migrator takes a lock of its own and keeps it where it fails.
        let unlocked = connection.execute("SELECT pg_advisory_unlock_all(); RESET lock_timeout").await;
        let applied = applied?;
        unlocked?;
        Ok(applied)
    }

    async fn migrate_in_turn(self, connection: &mut PgConnection) -> Result<Vec<MigrationStatus>, MigrateError> {
        let before = self.status(connection).await?;
        connection.execute(AssertSqlSafe(format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))).await?;
        self.migrator().run_direct(None, connection, false).await?;
        let applied = before.into_iter().filter(|migration| migration.state == MigrationState::Pending);
        Ok(applied.map(|migration| MigrationStatus { state: MigrationState::Applied, ..migration }).collect())
    }

    /// Every migration of the binary and of the database, oldest first. Writes nothing.
    pub async fn status(self, connection: &mut PgConnection) -> Result<Vec<MigrationStatus>, MigrateError> {
        let applied = applied(connection).await?;
        let mut all: Vec<_> = self
            .migrator()
            .iter()
            .map(|migration| {
                let state = match applied.iter().find(|row| row.version == migration.version) {
                    None => MigrationState::Pending,
                    Some(row) if !row.success => MigrationState::Unfinished,
                    Some(row) if row.checksum != migration.checksum.as_ref() => MigrationState::Edited,
                    Some(_) => MigrationState::Applied,
                };
                MigrationStatus { version: migration.version, description: migration.description.to_string(), state }
            })
            .collect();
        all.extend(applied.into_iter().filter(|row| !self.migrator().version_exists(row.version)).map(|row| {
            MigrationStatus { version: row.version, description: row.description, state: MigrationState::Unknown }
        }));
        all.sort_by_key(|migration| migration.version);
        Ok(all)
    }
}

/// Asks again and again instead of waiting inside one statement: such a statement would hold a snapshot, CREATE INDEX
/// CONCURRENTLY waits for every older snapshot, and the two would be a deadlock.
async fn wait_for_turn(connection: &mut PgConnection) -> Result<(), MigrateError> {
    const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
    let ask = "SELECT pg_try_advisory_lock(hashtextextended('waypost-migrate', 0))";
    while !sqlx::query_scalar::<_, bool>(ask).fetch_one(&mut *connection).await? {
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct AppliedRow {
    version: i64,
    description: String,
    success: bool,
    checksum: Vec<u8>,
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedRow>, MigrateError> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as("SELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version");
    Ok(rows.fetch_all(connection).await?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// sqlx passes over a file whose name it does not understand, in silence.
    #[test]
    fn every_file_is_a_migration() {
        for database in Database::ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(database.folder());
            let mut files = 0;
            for file in std::fs::read_dir(folder).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let (version, rest) = name.split_once('_').unwrap_or((&name, ""));
                let stem = rest.strip_suffix(".sql").unwrap_or("");
                assert!(version.len() == 14 && version.bytes().all(|b| b.is_ascii_digit()), "{name}: no timestamp");
                assert!(!stem.is_empty() && stem.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
                files += 1;
            }
            assert_eq!(database.migrator().iter().count(), files, "{}", database.name());
        }
    }
}
