//! `waypost migrate`: one command for every database, locally and in production.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use migrations::{Database, MigrationState, MigrationStatus};
use outbox::OUTBOX;
use schemas::Clock;
use service::{
    postgres::PostgresSettings,
    settings::{Env, SettingErrors},
};
use sqlx::{Connection, PgConnection, PgPool};
use time::macros::format_description;

use crate::{
    Usage,
    bus::{BusSettings, bus_database, patience},
    outln,
};

#[derive(Debug, Args)]
pub struct Migrate {
    /// Only this database
    #[arg(long, value_parser = database, global = true)]
    database: Option<Database>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List migrations and whether each is applied
    Status {
        #[arg(long)]
        json: bool,
    },
    /// Exit 1 unless every database has exactly the migrations of this binary
    Check,
    /// Write an empty migration file (needs --database)
    New {
        /// What it does, in lower-case words joined by underscores
        name: String,
        /// The folder that holds a folder per database
        #[arg(long, default_value = "migrations")]
        folder: PathBuf,
    },
}

fn database(name: &str) -> Result<Database, String> {
    let known = Database::ALL.map(Database::name);
    let found = Database::ALL.into_iter().find(|database| database.name() == name);
    found.ok_or_else(|| format!("no such database; there are: {}", known.join(", ")))
}

impl Migrate {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self.action {
            None => apply(env, self.database).await,
            Some(Action::Status { json }) => status(env, self.database, json).await,
            Some(Action::Check) => check(env, self.database).await,
            Some(Action::New { name, folder }) => {
                let Some(database) = self.database else {
                    return Err(Usage("say which database: --database auth".to_owned()).into());
                };
                outln!("{}", new(database, &folder, &name)?.display());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn apply(env: &Env, chosen: Option<Database>) -> anyhow::Result<ExitCode> {
    for (database, settings) in settings_of(env, chosen)? {
        settings.wait_until_ready(patience(env).map_err(SettingErrors::from)?).await?;
        let pool = settings.connect_lazy("waypost-migrate");
        database.prepare(&pool).await.with_context(|| format!("could not prepare {}", database.folder()))?;
        let applied = database.migrate(&mut *pool.acquire().await?).await;
        let applied = applied.with_context(|| format!("could not migrate {}", database.folder()))?;
        for migration in &applied {
            outln!("{}: applied {} {}", database.folder(), migration.version, migration.description);
        }
        make_weeks(database, &pool).await?;
        pool.close().await;
        eprintln!("{}: {} applied, now up to date", database.folder(), applied.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Tables partitioned by week have none of their own accord, and a producer must be able to write before any relay or
/// worker has run.
async fn make_weeks(database: Database, pool: &PgPool) -> anyhow::Result<()> {
    let now = Clock::system().now();
    if database.has_outbox() {
        partitions::maintain(pool, OUTBOX, now).await?;
    }
    if database.has_inbox() {
        worker::maintain_inbox(pool, now).await?;
    }
    Ok(())
}

async fn status(env: &Env, chosen: Option<Database>, json: bool) -> anyhow::Result<ExitCode> {
    let mut all = serde_json::Map::new();
    for (database, settings) in settings_of(env, chosen)? {
        let mut connection = connect(env, database, &settings).await?;
        let migrations = database.status(&mut connection).await?;
        if json {
            let rows = migrations.iter().map(
                |m| serde_json::json!({ "version": m.version, "description": m.description, "state": state(m.state) }),
            );
            all.insert(database.folder().to_owned(), rows.collect());
        } else {
            for migration in &migrations {
                let MigrationStatus { version, description, state: now } = migration;
                outln!("{:<8}  {version}  {:<10}  {description}", database.folder(), state(*now));
            }
        }
    }
    if json {
        outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(env: &Env, chosen: Option<Database>) -> anyhow::Result<ExitCode> {
    let mut good = true;
    for (database, settings) in settings_of(env, chosen)? {
        let mut connection = connect(env, database, &settings).await?;
        if !database.is_prepared(&mut connection).await? {
            good = false;
            outln!("{}: PGMQ is not there", database.folder());
        }
        for migration in database.status(&mut connection).await? {
            if migration.state != MigrationState::Applied {
                good = false;
                outln!("{}: {} is {}", database.folder(), migration.version, state(migration.state));
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn new(database: Database, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        let wrong = format!("the name is `{name}`, it should be lower-case words joined by underscores");
        return Err(Usage(wrong).into());
    }
    let folder = folder.join(database.folder());
    if !folder.is_dir() {
        bail!("{} is not a folder; run this from the repository, or say --folder", folder.display());
    }
    let now = Clock::system().now();
    let version = now.format(format_description!("[year][month][day][hour][minute][second]"))?;
    let file = folder.join(format!("{version}_{name}.sql"));
    std::fs::write(&file, "-- What changes, and why. The rule that makes it safe to deploy is in ../README.md.\n")
        .with_context(|| format!("could not write {}", file.display()))?;
    Ok(file)
}

/// Of the chosen database, or of all that are in use: the bus where events travel in it, and a service that not every
/// installation has where its own variable names a database.
fn settings_of(env: &Env, chosen: Option<Database>) -> Result<Vec<(Database, PostgresSettings)>, SettingErrors> {
    let mut wrong = SettingErrors::default();
    let embedded = chosen.is_none() && wrong.keep(BusSettings::from_env(env)).is_some_and(|bus| bus.is_embedded());
    let in_use = |database: &Database| match (chosen, database) {
        (Some(chosen), database) => chosen == *database,
        (None, Database::Auth | Database::User) => true,
        (None, Database::Bus) => embedded,
        (None, Database::Mailer | Database::Product) => is_named(env, *database),
    };
    let mut settings_of = |database: Database| {
        wrong.keep(match database {
            Database::Bus => bus_database(env),
            _ => PostgresSettings::from_env(env, &database.name().to_uppercase()),
        })
    };
    let used = Database::ALL.into_iter().filter(in_use);
    let read: Vec<_> = used.filter_map(|database| Some((database, settings_of(database)?))).collect();
    if wrong.is_empty() { Ok(read) } else { Err(wrong) }
}

/// Whether a database's own variable is set, also to what is no URL. One that isn't used is said to be left out.
fn is_named(env: &Env, database: Database) -> bool {
    let variable = format!("{}_DATABASE_URL", database.name().to_uppercase());
    let is_named = !matches!(env.optional(&variable), Ok(None));
    if !is_named {
        eprintln!("{} is left out, since {variable} is not set", database.folder());
    }
    is_named
}

async fn connect(env: &Env, database: Database, settings: &PostgresSettings) -> anyhow::Result<PgConnection> {
    settings.wait_until_ready(patience(env).map_err(SettingErrors::from)?).await?;
    let connection = PgConnection::connect_with(&settings.connect_options()).await;
    connection.with_context(|| format!("could not connect to {}", database.folder()))
}

fn state(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Applied => "applied",
        MigrationState::Pending => "pending",
        MigrationState::Edited => "edited",
        MigrationState::Unknown => "unknown",
        MigrationState::Unfinished => "unfinished",
    }
}
