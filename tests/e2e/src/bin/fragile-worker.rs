//! A worker whose process dies of one message: what no handler can catch, such as running out of memory.
//!
//! Reads its world from the environment, so that a test can start it again and again.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use messaging::{AwsBus, AwsSettings, Bus, Names, PostgresBus};
use schemas::{Clock, UserCreatedV2};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use worker::{ApplyEvents, Consumer, HandlerError, Received, Verdict, Worker, WorkerSettings};

struct RecordOrDie;

#[async_trait]
impl ApplyEvents for RecordOrDie {
    type Event = UserCreatedV2;

    const NAME: &'static str = "record_or_die";
    const READS: &'static [&'static str] = &["/userId", "/email"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, UserCreatedV2>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        if events.iter().any(|received| received.event.email.as_str().starts_with("killer")) {
            std::process::abort();
        }
        let users: Vec<_> = events.iter().map(|received| received.event.user_id).collect();
        sqlx::query("INSERT INTO user_profiles (user_id) SELECT unnest($1::uuid[])")
            .bind(users)
            .execute(connection)
            .await?;
        Ok(events.iter().map(|_| Verdict::Applied).collect())
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

async fn bus() -> anyhow::Result<Arc<dyn Bus>> {
    let names = Names::with_prefix(variable("WAYPOST_NAME_PREFIX")?);
    if variable("EVENT_PUBLISHER_TYPE")? == "postgres" {
        return Ok(Arc::new(PostgresBus::new(PgPool::connect(&variable("BUS_DATABASE_URL")?).await?, names)));
    }
    let endpoint = Some(variable("LOCALSTACK_ENDPOINT")?);
    let settings = AwsSettings { endpoint, region: Some("us-east-1".to_owned()), names, ..AwsSettings::default() };
    Ok(Arc::new(AwsBus::new(settings).await))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = bus().await?;
    let consumer = Consumer::named("fragile").apply(RecordOrDie).build();
    let queue = bus.queue(&bus.names().queue(consumer.name())).await?;
    let dead_letters = bus.queue(&bus.names().dead_letter_queue(consumer.name())).await?;
    let pool = PgPool::connect(&variable("USER_DATABASE_URL")?).await?;
    let settings = WorkerSettings {
        lease: Duration::from_secs(3),
        wait: Duration::from_secs(1),
        ..WorkerSettings::new("fragile", "0.0.0-test")
    };
    let stop = CancellationToken::new();
    Worker::new(consumer, queue, dead_letters, pool, settings, Clock::system()).run(stop.clone(), stop).await?;
    Ok(())
}
