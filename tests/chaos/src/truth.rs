//! What became of a run, by its databases and queues alone.

mod facts;
mod verdict;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use messaging::{AwsBus, AwsSettings, Bus, Queue};
use sqlx::{AssertSqlSafe, Executor, PgPool, postgres::PgPoolOptions};

pub use self::{
    facts::{Event, Facts, Letter},
    verdict::Verdict,
};
use crate::plan::REFUSED;

/// Where the truth is: the servers themselves, and nothing that stands before them.
#[derive(Debug)]
pub struct World {
    pub auth: PgPool,
    pub user: PgPool,
    pub bus: Arc<dyn Bus>,
    pub queue: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
    undelivered: Arc<dyn Queue>,
}

/// How far the events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub committed: u32,
    pub published: u32,
    pub applied: u32,
}

/// Messages, visible or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    pub queued: u64,
    pub dead_letters: u64,
    pub undelivered: u64,
}

const CONNECT: Duration = Duration::from_secs(5);

impl World {
    /// As the variables of `./dev env` say it.
    pub async fn connect(environment: &[(String, String)]) -> anyhow::Result<Self> {
        let variable = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str()).with_context(|| format!("{wanted} is not set"))
        };
        let settings = AwsSettings {
            endpoint: Some(variable("LOCALSTACK_ENDPOINT")?.to_owned()),
            region: Some(variable("AWS_REGION")?.to_owned()),
            ..AwsSettings::default()
        };
        let pool = |url: &str| PgPoolOptions::new().max_connections(4).acquire_timeout(CONNECT).connect_lazy(url);
        let (auth, user) = (pool(variable("AUTH_DATABASE_URL")?)?, pool(variable("USER_DATABASE_URL")?)?);
        Self::of(auth, user, Arc::new(AwsBus::new(settings).await)).await
    }

    pub async fn of(auth: PgPool, user: PgPool, bus: Arc<dyn Bus>) -> anyhow::Result<Self> {
        let (names, consumer) = (bus.names(), user_service::NAME);
        let queue = bus.queue(&names.queue(consumer)).await?;
        let dead_letters = bus.queue(&names.dead_letter_queue(consumer)).await?;
        let undelivered = bus.queue(&names.undelivered_queue(consumer)).await?;
        Ok(Self { auth, user, bus, queue, dead_letters, undelivered })
    }

    /// A witness that notes every application of an event, independently of `event_logs`: it fires before ON CONFLICT is
    /// looked at, so a second application shows even where it would change nothing. And the constraint that refuses what
    /// is to be refused.
    pub async fn install_witness(&self) -> anyhow::Result<()> {
        let mut tx = self.user.begin().await?;
        tx.execute(
            "CREATE TABLE witness (user_id uuid NOT NULL);
             CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO witness VALUES (NEW.user_id); RETURN NEW; END $$;
             CREATE TRIGGER witness BEFORE INSERT ON user_profiles FOR EACH ROW EXECUTE FUNCTION bear_witness();",
        )
        .await?;
        let constraint =
            format!("ALTER TABLE user_profiles ADD CONSTRAINT refused CHECK (email NOT LIKE '{REFUSED}%')");
        tx.execute(AssertSqlSafe(constraint)).await?;
        Ok(tx.commit().await?)
    }

    /// How many are committed, and how many of those published.
    pub async fn in_auth_db(&self) -> anyhow::Result<(u32, u32)> {
        let outbox = "SELECT count(*), count(*) FILTER (WHERE status = 'published') FROM outbox";
        let (committed, published): (i64, i64) = sqlx::query_as(outbox).fetch_one(&self.auth).await?;
        Ok((committed as u32, published as u32))
    }

    /// How many are applied.
    pub async fn in_user_db(&self) -> anyhow::Result<u32> {
        let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM event_logs").fetch_one(&self.user).await?;
        Ok(applied as u32)
    }

    pub async fn waiting(&self) -> anyhow::Result<Waiting> {
        let count = async |queue: &Arc<dyn Queue>| queue.counts().await.map(|counts| counts.visible + counts.in_flight);
        Ok(Waiting {
            queued: count(&self.queue).await?,
            dead_letters: count(&self.dead_letters).await?,
            undelivered: count(&self.undelivered).await?,
        })
    }
}
