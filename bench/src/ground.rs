//! What all scenarios stand on: servers of this run alone, and the programs that are measured.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use anyhow::{Context, bail};
use chaos::{proxy::Proxy, servers::Servers};
use messaging::{AwsBus, AwsSettings, Bus, Names, PostgresBus, Topology};
use migrations::Database;
use schemas::Clock;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use url::Url;
use uuid::Uuid;

use crate::{road::Road, sizes::Sizes};

/// The programs of a run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// This one, which is also a worker with a slow handler where a scenario wants one.
    pub bench: PathBuf,
    pub waypost: PathBuf,
    /// What others would write, or have written.
    pub peers: PathBuf,
    pub pgbench: PathBuf,
}

#[derive(Debug)]
pub struct Ground {
    servers: Arc<Servers>,
    pub programs: Programs,
    pub sizes: Sizes,
    pub auth: PgPool,
    pub product: PgPool,
    pub user: PgPool,
    bus: PgPool,
    environment: Vec<(String, String)>,
}

const REGION: &str = "us-east-1";
/// As many as `waypost` has in development; a worker uses four of them for transactions.
const CONNECTIONS: u32 = 10;
const MAX_CONNECTIONS: u32 = 20;

impl Ground {
    /// Starts servers and makes their tables.
    pub async fn make(programs: Programs, sizes: Sizes) -> anyhow::Result<Self> {
        let servers = Arc::new(tokio::task::spawn_blocking(|| Servers::with_localstack("bench")).await??);
        let starting = servers.clone();
        tokio::task::spawn_blocking(move || starting.up()).await??;
        let environment = servers.environment()?;
        let auth = pool(variable(&environment, "AUTH_DATABASE_URL")?, MAX_CONNECTIONS).await?;
        let product = pool(variable(&environment, "PRODUCT_DATABASE_URL")?, CONNECTIONS).await?;
        let user = pool(variable(&environment, "USER_DATABASE_URL")?, CONNECTIONS).await?;
        let bus = pool(variable(&environment, "BUS_DATABASE_URL")?, MAX_CONNECTIONS).await?;
        let databases =
            [(Database::Auth, &auth), (Database::Product, &product), (Database::User, &user), (Database::Bus, &bus)];
        for (database, pool) in databases {
            migrate(database, pool).await?;
        }
        let ground = Self { servers, programs, sizes, auth, product, user, bus, environment };
        // Weeks, as the processes make them at their start.
        let now = Clock::system().now();
        for table in [worker::EVENT_LOGS, worker::EVENT_FAILURES] {
            partitions::maintain(&ground.user, table, now).await?;
        }
        partitions::maintain(&ground.auth, outbox::OUTBOX, now).await?;
        Ok(ground)
    }

    pub fn logs(&self) -> PathBuf {
        self.servers.logs()
    }

    pub fn variable(&self, name: &str) -> anyhow::Result<&str> {
        variable(&self.environment, name)
    }

    /// Of a process on this road, with what `more` says.
    pub fn environment(&self, road: &Road, more: &[(&str, &str)]) -> Vec<(String, String)> {
        const ADMIN: &str = "127.0.0.1:0";
        let own = [("WORKER_ADMIN_LISTEN", ADMIN), ("WORKER_WAIT_SECONDS", "1"), ("LOG_FORMAT", "json")];
        let road = road.environment.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = road.chain(own).chain(more.iter().copied()).collect();
        self.environment_with(&all)
    }

    /// Of a process on no road.
    pub fn environment_with(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut everything = self.environment.clone();
        for (name, value) in more {
            everything.retain(|(known, _)| known != name);
            everything.push(((*name).to_owned(), (*value).to_owned()));
        }
        everything
    }

    /// Topics and queues in SNS and SQS, past `proxy` where there is one.
    pub async fn localstack(&self, proxy: Option<&Proxy>) -> anyhow::Result<Road> {
        let (names, prefix) = names();
        let direct = self.variable("LOCALSTACK_ENDPOINT")?.to_owned();
        let endpoint = proxy.map_or_else(|| direct.clone(), Proxy::endpoint);
        let bus = async |endpoint: &str| {
            let (endpoint, region) = (Some(endpoint.to_owned()), Some(REGION.to_owned()));
            AwsBus::new(AwsSettings { endpoint, region, names: names.clone(), ..AwsSettings::default() }).await
        };
        let environment = vec![
            ("EVENT_PUBLISHER_TYPE", "sns".to_owned()),
            ("LOCALSTACK_ENDPOINT", endpoint.clone()),
            ("WAYPOST_NAME_PREFIX", prefix),
        ];
        Road::make(Arc::new(bus(&endpoint).await), Arc::new(bus(&direct).await), topology(), environment).await
    }

    /// Topics and queues in PostgreSQL.
    pub async fn embedded(&self, topology: Topology) -> anyhow::Result<Road> {
        let (names, prefix) = names();
        let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(self.bus.clone(), names));
        let environment = vec![
            ("EVENT_PUBLISHER_TYPE", "postgres".to_owned()),
            ("BUS_DATABASE_URL", self.variable("BUS_DATABASE_URL")?.to_owned()),
            ("WAYPOST_NAME_PREFIX", prefix),
        ];
        Road::make(bus.clone(), bus, topology, environment).await
    }

    /// A proxy before LocalStack.
    pub async fn proxy(&self) -> anyhow::Result<Proxy> {
        Proxy::start(0, self.variable("LOCALSTACK_ENDPOINT")?).await
    }

    /// Empties what workers write, so that every run finds the same.
    pub async fn forget_applied(&self) -> anyhow::Result<()> {
        sqlx::query("TRUNCATE event_logs, event_failures, user_profiles, workers CASCADE").execute(&self.user).await?;
        // What one run has left to be written is not to be paid for by the next.
        checkpoint(&self.user).await
    }

    /// Empties what producers write.
    pub async fn forget_accounts(&self) -> anyhow::Result<()> {
        sqlx::query("TRUNCATE outbox, user_roles, users, account_requests, rate_limits CASCADE")
            .execute(&self.auth)
            .await?;
        checkpoint(&self.auth).await
    }

    /// Empties the catalogue.
    pub async fn forget_products(&self) -> anyhow::Result<()> {
        sqlx::query("TRUNCATE products, outbox").execute(&self.product).await?;
        checkpoint(&self.product).await
    }

    pub async fn applied(&self) -> anyhow::Result<usize> {
        let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM event_logs").fetch_one(&self.user).await?;
        Ok(applied.unsigned_abs() as usize)
    }

    /// A database beside user-service's, on its server, with the same tables.
    pub async fn another_user_database(&self, name: &str) -> anyhow::Result<PgPool> {
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&self.user).await?;
        let mut url = Url::from_str(self.variable("USER_DATABASE_URL")?)?;
        url.set_path(name);
        let made = pool(url.as_str(), CONNECTIONS).await?;
        migrate(Database::User, &made).await?;
        partitions::maintain(&made, worker::EVENT_LOGS, Clock::system().now()).await?;
        Ok(made)
    }

    /// What PostgreSQL says of how it was set up.
    pub async fn postgresql(&self) -> anyhow::Result<String> {
        let asked = "SELECT current_setting('server_version') || ', fsync ' || current_setting('fsync')
            || ', synchronous_commit ' || current_setting('synchronous_commit')
            || ', shared_buffers ' || current_setting('shared_buffers')";
        Ok(sqlx::query_scalar(asked).fetch_one(&self.user).await?)
    }
}

async fn migrate(database: Database, pool: &PgPool) -> anyhow::Result<()> {
    database.prepare(pool).await?;
    Ok(database.migrate(&mut *pool.acquire().await?).await.map(drop)?)
}

/// Where the role may; else PostgreSQL makes them as it sees fit, for both sides.
async fn checkpoint(pool: &PgPool) -> anyhow::Result<()> {
    match sqlx::query("CHECKPOINT").execute(pool).await {
        Err(sqlx::Error::Database(refused)) if refused.code().is_some_and(|code| code == "42501") => Ok(()),
        done => Ok(done.map(drop)?),
    }
}

fn names() -> (Names, String) {
    let prefix = format!("bench-{}-", &Uuid::new_v4().simple().to_string()[..8]);
    (Names::with_prefix(&prefix), prefix)
}

/// user-service's queues, and the topics that they listen to.
pub fn topology() -> Topology {
    Topology { subscribers: vec![user_service::declared().subscriber()], ..Topology::default() }
}

pub async fn pool(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(connections);
    options.connect(url).await.context("could not connect to a database of the benchmark")
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> anyhow::Result<&'a str> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).with_context(|| format!("`./dev env` names no {name}"))
}

/// On `PATH`, or where Debian puts PostgreSQL's programs.
pub fn find_pgbench() -> anyhow::Result<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&paths).map(|folder| folder.join("pgbench"));
    let mut installed: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    installed.sort_by_key(|version| std::cmp::Reverse(version.file_name()));
    let installed = installed.into_iter().map(|version| version.path().join("bin/pgbench"));
    match on_path.chain(installed).find(|program| Path::is_file(program)) {
        Some(program) => Ok(program),
        None => bail!("there is no pgbench: it comes with PostgreSQL, on Debian with the package postgresql"),
    }
}
