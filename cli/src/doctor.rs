//! `waypost doctor`: what bus, databases and settings really are, against what a worker needs.
//!
//! Gathering and judging are apart: facts are plain structs, judging them is pure, and a finding has the command that
//! mends it. What the topology's own comparison can tell is left to it (`drift`); what it can't know is in `queues`,
//! `permissions`, `databases` and `timing`. What can't be looked at is told as such, and the rest is looked at all the
//! same. Writes nothing.

mod check;
mod databases;
mod drift;
mod permissions;
mod queues;
mod report;
mod timing;

use std::process::ExitCode;

pub use self::{
    check::{Check, Finding},
    queues::Needs,
};
use self::{
    check::{
        Severity::{Error, Warning},
        join,
    },
    databases::{OF_ITS_OWN, Pool, ServerFacts, look_at_migrations, look_at_weeks},
};
use crate::{
    bus::BusSettings,
    consumers::{ConsumerProcess, SomeConsumers},
    landscape::topology,
    outln, remedy,
    run::InboxSettings,
};
use clap::Args;
use messaging::{Bus, Prune};
use migrations::Database;
use schemas::Clock;
use secrecy::ExposeSecret;
use service::{
    ErrorChain, lifecycle,
    postgres::{PostgresSettings, database_url},
    settings::{Env, SettingErrors, all},
};
use sqlx::{Connection, PgConnection};

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    consumers: SomeConsumers,
    /// Print every check as JSON, with its outcome
    #[arg(long)]
    json: bool,
    /// Also fail for warnings, and for what could not be looked at
    #[arg(long)]
    strict: bool,
}

/// A consumer that is looked at, with what its worker is told.
struct Examined {
    row: &'static ConsumerProcess,
    settings: InboxSettings,
    pool: Pool,
}

impl Examined {
    fn from_env(env: &Env, row: &'static ConsumerProcess, several: bool) -> Result<Self, SettingErrors> {
        let (settings, url) = all((InboxSettings::from_env(env, row, several), database_url(env, &row.prefix())))?;
        let transactions = u32::try_from(settings.worker.concurrency).unwrap_or(u32::MAX);
        let pool = Pool {
            variable: url.variable,
            has_parameters: url.url.expose_secret().contains('?'),
            limit: settings.database.connection_limit,
            needed: transactions.saturating_add(OF_ITS_OWN),
            beside: 0,
        };
        Ok(Self { row, settings, pool })
    }
}

impl Doctor {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let rows = self.consumers.get(env);
        let mut wrong = SettingErrors::default();
        let grace = wrong.keep(lifecycle::grace_from_env(env));
        let read = |row: &&'static ConsumerProcess| wrong.keep(Examined::from_env(env, row, rows.len() > 1));
        let examined: Vec<_> = rows.iter().filter_map(read).collect();
        let (Some(grace), Some(Examined { settings: first, .. }), true) = (grace, examined.first(), wrong.is_empty())
        else {
            return Err(wrong.into());
        };
        // Times are the same for all.
        let mut checks = timing::judge(&first.worker, grace, first.bus.is_embedded());
        for Examined { row, settings, pool } in &examined {
            checks.push(pool.judge(&settings.database.to_string()));
            checks.extend(look_at_database(row.database, &settings.database, &settings.bus, pool).await);
        }
        checks.extend(look_at_bus(env, &examined, self.consumers.is_named()).await?);
        self.tell(&checks)
    }

    fn tell(&self, checks: &[Check]) -> anyhow::Result<ExitCode> {
        match self.json {
            true => outln!("{}", serde_json::to_string_pretty(checks)?),
            false => report::print(checks)?,
        }
        let count = |wanted| checks.iter().filter_map(Check::finding).filter(|(found, _)| *found == wanted).count();
        let untried = checks.iter().filter(|check| check.is_in_the_way()).count();
        let (errors, warnings) = (count(Error), count(Warning));
        eprintln!("{} checks: {errors} errors, {warnings} warnings, {untried} could not be made", checks.len());
        let fails = errors > 0 || self.strict && warnings + untried > 0;
        Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Migrations, connections, time, and for the inbox its weeks.
async fn look_at_database(
    database: Database,
    settings: &PostgresSettings,
    bus: &BusSettings,
    pool: &Pool,
) -> Vec<Check> {
    const ID: &str = "database-answers";
    let about = settings.to_string();
    let mut connection = match connect(settings, bus).await {
        Ok(connection) => connection,
        Err(error) => {
            let why = "a worker does not start without its database, and waits while it is away";
            let options = settings.connect_options();
            let (host, port) = (options.get_host(), options.get_port());
            let remedy = format!("pg_isready --host={} --port={port}", remedy::quoted(host));
            let finding = Finding::new(ErrorChain(error.as_ref()).to_string(), "answers", why, remedy);
            return vec![Check::found(Error, ID, about, finding)];
        }
    };
    let mut checks = vec![Check::ok(ID, &about)];
    let untried =
        |id, error: &(dyn std::error::Error + 'static)| Check::untried(id, &about, ErrorChain(error).to_string());
    match ServerFacts::of(&mut connection).await {
        Ok(facts) => checks.extend(facts.judge(&about, pool)),
        Err(error) => checks.push(untried("server-connections", &error)),
    }
    let migrated = match look_at_migrations(database, &about, &mut connection).await {
        Ok(check) => check,
        Err(error) => untried("migrations", error.as_ref()),
    };
    let is_migrated = migrated.finding().is_none();
    checks.push(migrated);
    if database.has_inbox() && is_migrated {
        let pool = settings.connect_lazy("waypost-doctor");
        match look_at_weeks(database, &pool, Clock::system().now()).await {
            Ok(weeks) => checks.extend(weeks),
            Err(error) => checks.push(untried("inbox-weeks", &error)),
        }
        pool.close().await;
    }
    checks
}

async fn connect(settings: &PostgresSettings, bus: &BusSettings) -> anyhow::Result<PgConnection> {
    settings.wait_until_ready(bus.patience).await?;
    Ok(PgConnection::connect_with(&settings.connect_options()).await?)
}

/// `alone`: nothing that is another consumer's.
async fn look_at_bus(env: &Env, examined: &[Examined], alone: bool) -> Result<Vec<Check>, SettingErrors> {
    const ID: &str = "bus-answers";
    const ABOUT: &str = "the bus";
    let mut settings = BusSettings::from_env(env)?;
    for Examined { row, .. } in examined {
        settings = settings.with_queue_url(row.name, row.queue_url(env, examined.len() > 1)?)?;
    }
    let mut checks = Vec::new();
    if let Some(database) = settings.database() {
        let url = env.optional("BUS_DATABASE_URL")?.unwrap_or_default();
        let pool = Pool {
            variable: "BUS_DATABASE_URL".to_owned(),
            has_parameters: url.contains('?'),
            limit: database.connection_limit,
            needed: 1,
            // It listens for messages on one of its own.
            beside: 1,
        };
        checks.extend(look_at_database(Database::Bus, database, &settings, &pool).await);
        if checks.iter().any(|check| matches!(check.finding(), Some((Error, _)))) {
            checks.push(Check::untried(ID, ABOUT, "its database is not as it should be"));
            return Ok(checks);
        }
    }
    let bus = match settings.connect().await {
        Ok(bus) => bus,
        Err(error) => {
            let why = "a worker does not start without the bus, and polls in vain while it is away";
            let found = ErrorChain(error.as_ref()).to_string();
            let finding = Finding::new(found, "answers", why, settings.knock());
            checks.push(Check::found(Error, ID, ABOUT, finding));
            return Ok(checks);
        }
    };
    checks.push(Check::ok(ID, ABOUT));
    checks.extend(look_at_queues(&*bus, &settings, examined, alone).await);
    Ok(checks)
}

/// First what a worker may see itself, then the comparison, which takes more.
async fn look_at_queues(bus: &dyn Bus, settings: &BusSettings, examined: &[Examined], alone: bool) -> Vec<Check> {
    let (whole, names) = (topology(), bus.names());
    let mut topology = whole.clone();
    topology.subscribers.retain(|subscriber| !alone || examined.iter().any(|one| one.row.name == subscriber.consumer));
    let mut checks = Vec::new();
    for Examined { row, settings, .. } in examined {
        let subscriber = (row.registered)().subscriber();
        let about = queues::queue_named(&names.queue(&subscriber.consumer));
        match bus.inspect(&subscriber.consumer).await {
            Ok(facts) => checks.extend(Needs::of(&subscriber, names, settings).judge(&facts)),
            Err(error) => checks.push(Check::untried("queue-exists", &about, ErrorChain(&error).to_string())),
        }
        match bus.try_permissions(&subscriber.consumer).await {
            Ok(permissions) => checks.extend(permissions::judge(&permissions, row.process)),
            Err(error) => checks.push(Check::untried("may-find", &about, ErrorChain(&error).to_string())),
        }
    }
    let compared = async {
        let differences = bus.verify(&topology).await?;
        Ok::<_, messaging::TopologyError>((differences, bus.extras(&whole, Prune::default()).await?))
    };
    match compared.await {
        Ok((differences, extras)) => {
            join(checks, drift::judge(&topology, names, settings.is_embedded(), &differences, &extras))
        }
        Err(error) => {
            let why = format!("only who deploys may compare all of it: {}", ErrorChain(&error));
            checks.push(Check::untried("topology", "the bus", why));
            checks
        }
    }
}
