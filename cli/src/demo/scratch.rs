//! Databases, topics and queues of one run.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use anyhow::{Context, bail};
use messaging::{AwsBus, AwsSettings, Bus, Names, PostgresBus, Queue};
use migrations::Database;
use schemas::Clock;
use secrecy::ExposeSecret;
use service::{
    key_files::KeyFolder,
    postgres::database_url,
    settings::{Env, SettingErrors},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Duration, Instant};
use url::Url;
use uuid::Uuid;

use super::{front_door::PROXY, story::Story};
use crate::{bus::patience, landscape::topology};

/// One database of the run, and the server's own that it was made from.
pub struct ScratchDatabase {
    pub url: Url,
    pub pool: PgPool,
    server: Url,
    name: String,
}

pub struct Scratch {
    pub auth: ScratchDatabase,
    product: ScratchDatabase,
    pub user: ScratchDatabase,
    pub mailer: ScratchDatabase,
    pub bus: Arc<dyn Bus>,
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
    pub logs: PathBuf,
    place: Place,
    prefix: String,
}

/// Where the bus of the run is.
enum Place {
    LocalStack { endpoint: String },
    Embedded(ScratchDatabase),
}

const REGION: &str = "us-east-1";

/// Keys and mails of the run, beside its logs.
const FOLDERS: [(&str, &str); 4] = [
    ("AUTH_KEYS_DIR", "keys/auth"),
    ("MAILER_KEYS_DIR", "keys/mailer"),
    ("MAILER_PUBLIC_KEYS_DIR", "keys/mailer-public"),
    ("MAIL_FOLDER", "mails"),
];

fn folder_of(variable: &str) -> &'static str {
    FOLDERS.iter().find(|(name, _)| *name == variable).map_or("", |(_, folder)| folder)
}

impl Scratch {
    pub async fn make(env: &Env, on_localstack: bool, story: &mut Story) -> anyhow::Result<Self> {
        story.chapter("Databases, topics and queues are made for this run");
        let id = &Uuid::new_v4().simple().to_string()[..8];
        let prefix = format!("demo-{id}-");
        let names = Names::with_prefix(&prefix);
        let (bus, place): (Arc<dyn Bus>, Place) = if on_localstack {
            let endpoint = localstack(env)?;
            let region = Some(REGION.to_owned());
            let settings = AwsSettings { endpoint: Some(endpoint.clone()), region, names, ..AwsSettings::default() };
            (Arc::new(AwsBus::new(settings).await), Place::LocalStack { endpoint })
        } else {
            let database = ScratchDatabase::make(env, Database::Bus, id).await?;
            (Arc::new(PostgresBus::new(database.pool.clone(), names)), Place::Embedded(database))
        };
        bus.wait_until_ready(patience(env).map_err(SettingErrors::from)?).await?;
        let auth = ScratchDatabase::make(env, Database::Auth, id).await?;
        let product = ScratchDatabase::make(env, Database::Product, id).await?;
        let user = ScratchDatabase::make(env, Database::User, id).await?;
        let mailer_database = ScratchDatabase::make(env, Database::Mailer, id).await?;
        let made = bus.apply(&topology()).await?;
        story.say(&format!("{auth}: accounts, and the outbox"));
        story.say(&format!("{product}: products, and another outbox"));
        story.say(&format!("{user}: profiles, and the inbox"));
        story.say(&format!("{mailer_database}: which mails went"));
        story.say(&format!("{place}: {} topics, queues and subscriptions called {prefix}…", made.len()));
        let consumer = user_service::NAME;
        let queue = bus.queue(&bus.names().queue(consumer)).await?;
        let dead_letters = bus.queue(&bus.names().dead_letter_queue(consumer)).await?;
        let logs = std::env::temp_dir().join(format!("waypost-demo-{id}"));
        std::fs::create_dir_all(&logs).with_context(|| format!("could not make {}", logs.display()))?;
        let [private, public] =
            [("MAILER_KEYS_DIR", mailer::PRIVATE_KEY), ("MAILER_PUBLIC_KEYS_DIR", mailer::PUBLIC_KEY)]
                .map(|(variable, extension)| KeyFolder::new(logs.join(folder_of(variable)), extension));
        mailer::make_pair(&private, &public, Clock::system().now()).context("could not make the mailer's keys")?;
        Ok(Self { auth, product, user, mailer: mailer_database, bus, queue, dead_letters, logs, place, prefix })
    }

    /// What every process of the run needs to know.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let (bus, kind) = match &self.place {
            Place::LocalStack { endpoint } => (("LOCALSTACK_ENDPOINT", endpoint.clone()), "sns"),
            Place::Embedded(database) => (("BUS_DATABASE_URL", database.url.to_string()), "postgres"),
        };
        let folders = FOLDERS.map(|(variable, folder)| (variable, self.logs.join(folder).display().to_string()));
        let own = [
            ("AUTH_DATABASE_URL", self.auth.url.to_string()),
            ("PRODUCT_DATABASE_URL", self.product.url.to_string()),
            ("USER_DATABASE_URL", self.user.url.to_string()),
            ("MAILER_DATABASE_URL", self.mailer.url.to_string()),
            ("APP_ENV", "development".to_owned()),
            ("MAIL_TRANSPORT", "file".to_owned()),
            ("MAIL_FROM", "Waypost <no-reply@waypost.example>".to_owned()),
            ("MAIL_LINK_BASE", "http://localhost:8000".to_owned()),
            bus,
            ("AWS_REGION", REGION.to_owned()),
            ("EVENT_PUBLISHER_TYPE", kind.to_owned()),
            ("WAYPOST_NAME_PREFIX", self.prefix.clone()),
            ("LOG_FORMAT", "text".to_owned()),
            ("TRUSTED_PROXIES", PROXY.to_owned()),
            // Where a Redis is named, limits are counted there.
            ("RATE_LIMIT_KEY", "bm8gc2VjcmV0OiBvbmx5IGZvciB0aGUgZGVtbyBydW4=".to_owned()),
            // The demo is seldom alone on its machine, and threads that hash step back behind whatever else runs. Who is refused for
            // that and tries again soon has tried more often than a network may.
            ("AUTH_HASH_WAIT_MS", "30000".to_owned()),
            ("HTTP_REQUEST_TIMEOUT_SECONDS", "40".to_owned()),
            // A killed worker's messages come back soon, and stopping doesn't wait for a long poll.
            ("WORKER_LEASE_SECONDS", "6".to_owned()),
            ("WORKER_WAIT_SECONDS", "1".to_owned()),
            ("WORKER_RETRY_BASE_MILLIS", "200".to_owned()),
        ];
        own.into_iter().chain(folders).collect()
    }

    /// Writes [`Self::environment`] for a shell, and answers where.
    pub fn write_environment(&self) -> anyhow::Result<PathBuf> {
        let file = self.logs.join("env");
        let lines = self.environment().into_iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        std::fs::write(&file, lines.collect::<String>())
            .with_context(|| format!("could not write {}", file.display()))?;
        Ok(file)
    }

    /// Waits until workers have received something that they can't finish.
    pub async fn until_messages_are_in_hand(&self) -> anyhow::Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let in_flight = self.queue.counts().await?.in_flight;
            if in_flight > 0 {
                return Ok(in_flight);
            }
            if Instant::now() > deadline {
                bail!("no worker received anything in 30 s");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn remove(self) -> anyhow::Result<()> {
        if matches!(self.place, Place::LocalStack { .. }) {
            self.bus.remove(&topology()).await?;
        }
        // They listen for messages as long as they are there.
        drop((self.bus, self.queue, self.dead_letters));
        if let Place::Embedded(database) = self.place {
            database.remove().await?;
        }
        for database in [self.auth, self.product, self.user, self.mailer] {
            database.remove().await?;
        }
        std::fs::remove_dir_all(&self.logs).with_context(|| format!("could not remove {}", self.logs.display()))
    }
}

impl ScratchDatabase {
    async fn make(env: &Env, database: Database, id: &str) -> anyhow::Result<Self> {
        let found = database_url(env, &database.name().to_uppercase()).map_err(SettingErrors::from)?;
        let server: Url = found.url.expose_secret().parse().with_context(|| format!("{} is no URL", found.variable))?;
        let name = format!("demo_{id}_{}", database.name());
        let mut connection = PgConnection::connect(server.as_str())
            .await
            .with_context(|| format!("could not reach the server that {} names", found.variable))?;
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .with_context(|| format!("could not make database {name}; the demo's role needs CREATEDB"))?;
        let mut url = server.clone();
        url.set_path(&name);
        let pool = PgPoolOptions::new().max_connections(4).connect(url.as_str()).await?;
        database.prepare(&pool).await.with_context(|| format!("could not prepare {name}"))?;
        database.migrate(&mut *pool.acquire().await?).await.with_context(|| format!("could not migrate {name}"))?;
        Ok(Self { url, pool, server, name })
    }

    async fn remove(self) -> anyhow::Result<()> {
        self.pool.close().await;
        // Dropping takes its time, which is no news.
        let options = PgConnectOptions::from_str(self.server.as_str())?.disable_statement_logging();
        let mut connection = PgConnection::connect_with(&options).await?;
        let dropped = connection.execute(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name))).await;
        dropped.map(drop).with_context(|| format!("could not drop {}", self.name))
    }
}

/// `demo_1a2b3c4d_auth on port 5433`.
impl fmt::Display for ScratchDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on port {}", self.name, self.url.port().unwrap_or(5432))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalStack { endpoint } => write!(f, "SNS and SQS at {endpoint}"),
            Self::Embedded(database) => write!(f, "{database}, the bus"),
        }
    }
}

fn localstack(env: &Env) -> Result<String, SettingErrors> {
    let should_be = "LocalStack's URL: with --localstack the demo runs on it, and `./dev demo --localstack` starts one";
    env.required("LOCALSTACK_ENDPOINT", should_be).map(str::to_owned).map_err(SettingErrors::from)
}
