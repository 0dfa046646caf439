//! Databases, topics and queues of one run.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use anyhow::{Context, bail};
use messaging::{AwsBus, AwsSettings, Names, Queue};
use migrations::Database;
use secrecy::ExposeSecret;
use service::{
    postgres::database_url,
    settings::{Env, SettingError, SettingErrors},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Duration, Instant};
use url::Url;
use uuid::Uuid;

use super::story::Story;
use crate::{bus::patience, topology::topology};

/// One database of the run, and the server's own that it was made from.
pub struct ScratchDatabase {
    pub url: Url,
    pub pool: PgPool,
    server: Url,
    name: String,
}

pub struct Scratch {
    pub auth: ScratchDatabase,
    pub user: ScratchDatabase,
    pub bus: AwsBus,
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
    pub prefix: String,
    pub endpoint: String,
    pub logs: PathBuf,
}

impl Scratch {
    pub async fn make(env: &Env, story: &mut Story) -> anyhow::Result<Self> {
        story.chapter("Databases, topics and queues are made for this run");
        let Some(endpoint) = env.optional("LOCALSTACK_ENDPOINT").map_err(SettingErrors::from)? else {
            let should_be = "LocalStack's URL: the demo runs on it, and `./dev demo` starts one";
            return Err(SettingErrors::from(SettingError::unset("LOCALSTACK_ENDPOINT", should_be)).into());
        };
        let id = &Uuid::new_v4().simple().to_string()[..8];
        let prefix = format!("demo-{id}-");
        let settings = AwsSettings {
            endpoint: Some(endpoint.to_owned()),
            region: Some("us-east-1".to_owned()),
            names: Names::with_prefix(&prefix),
        };
        let bus = AwsBus::new(settings).await;
        bus.wait_until_ready(patience(env).map_err(SettingErrors::from)?).await?;
        let auth = ScratchDatabase::make(env, Database::Auth, id).await?;
        let user = ScratchDatabase::make(env, Database::User, id).await?;
        let made = bus.apply(&topology()).await?;
        story.say(&format!("{} and {}, each with its own role and server", auth.name, user.name));
        story.say(&format!("{} topics, queues and subscriptions called {prefix}…", made.len()));
        let consumer = user_service::NAME;
        let queue: Arc<dyn Queue> = bus.queue(&bus.names().queue(consumer)).await?;
        let dead_letters: Arc<dyn Queue> = bus.queue(&bus.names().dead_letter_queue(consumer)).await?;
        let logs = std::env::temp_dir().join(format!("waypost-demo-{id}"));
        std::fs::create_dir_all(&logs).with_context(|| format!("could not make {}", logs.display()))?;
        let endpoint = endpoint.to_owned();
        Ok(Self { auth, user, bus, queue, dead_letters, prefix, endpoint, logs })
    }

    /// What every process of the run needs to know.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AUTH_DATABASE_URL", self.auth.url.to_string()),
            ("USER_DATABASE_URL", self.user.url.to_string()),
            ("LOCALSTACK_ENDPOINT", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("EVENT_PUBLISHER_TYPE", "sns".to_owned()),
            ("WAYPOST_NAME_PREFIX", self.prefix.clone()),
            ("LOG_FORMAT", "text".to_owned()),
            // A killed worker's messages come back soon, and stopping doesn't wait for a long poll.
            ("WORKER_LEASE_SECONDS", "6".to_owned()),
            ("WORKER_WAIT_SECONDS", "1".to_owned()),
            ("WORKER_RETRY_BASE_MILLIS", "200".to_owned()),
        ]
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
        self.bus.remove(&topology()).await?;
        for database in [self.auth, self.user] {
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

impl fmt::Display for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (auth, user) = (&self.auth.name, &self.user.name);
        write!(f, "databases {auth} and {user}, queues {}…, logs in {}", self.prefix, self.logs.display())
    }
}
