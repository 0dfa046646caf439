//! APIs as processes, and what they are started with beside their own routes: Redis, the keys of access tokens, and what
//! publishes their events.

use std::convert::Infallible;

use outbox::{OUTBOX, RelaySettings, Wake};
use schemas::Clock;
use service::{
    access_token::{PublishedAt, PublishedKeys},
    lifecycle::Lifecycle,
    postgres::PostgresSettings,
    rate_limit,
    redis::{self, Redis, RedisSettings},
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use sqlx::PgPool;

use super::{
    auth_service::AuthService,
    product_service::ProductService,
    relay::run_relay,
    settings::{RelayPlace, relay_place, relay_settings},
    unless_stopped,
    user_service::UserService,
};
use crate::{bus::BusSettings, producers::Producer};

/// An API, with its settings.
pub enum ApiProcess {
    Auth(Box<AuthService>),
    Product(Box<ProductService>),
    User(Box<UserService>),
}

impl ApiProcess {
    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        match self {
            Self::Auth(service) => service.start(lifecycle, metrics).await,
            Self::Product(service) => service.start(lifecycle, metrics).await,
            Self::User(service) => service.start(lifecycle, metrics).await,
        }
    }
}

/// How the events of an API are published.
pub struct Sending {
    producer: &'static Producer,
    bus: BusSettings,
    place: RelayPlace,
    relay: RelaySettings,
}

impl Sending {
    pub fn from_env(env: &Env, producer: &'static Producer) -> Result<Self, SettingErrors> {
        let (bus, place, relay) = all((BusSettings::from_env(env), relay_place(env), relay_settings(env)))?;
        Ok(Self { producer, bus, place, relay })
    }

    /// Waits for the database, and answers its pool, and what to wake after each commit.
    pub async fn start(
        self,
        lifecycle: &Lifecycle,
        database: &PostgresSettings,
        clock: &Clock,
    ) -> anyhow::Result<(PgPool, Wake)> {
        let Self { producer, bus, place, relay } = self;
        unless_stopped(lifecycle, database.wait_until_ready(bus.patience)).await?;
        let pool = database.connect_lazy(producer.process);
        // What is sent must find this week's partition, and the relay that makes it may be elsewhere or later.
        partitions::maintain(&pool, OUTBOX, clock.now()).await?;
        let wake = Wake::new();
        match place {
            RelayPlace::Inline => {
                let publisher = unless_stopped(lifecycle, bus.publisher()).await?;
                run_relay(lifecycle, producer, &pool, publisher, relay, &bus, wake.clone());
            }
            RelayPlace::Standalone => {
                let (database, wake, soft) = (database.connect_options(), wake.clone(), lifecycle.soft());
                lifecycle.spawn(format!("announcer of {}", producer.name), async move {
                    outbox::announce(database, wake, soft).await;
                    Ok::<_, Infallible>(())
                });
            }
        }
        Ok((pool, wake))
    }
}

/// Where limits are counted together and what is cached lies, if anywhere. It is kept connected for as long as the process runs.
pub async fn connect_redis(lifecycle: &Lifecycle, settings: Option<RedisSettings>) -> Option<Redis> {
    redis::describe_metrics();
    rate_limit::describe_metrics();
    let redis = Redis::connect(settings?).await;
    let (kept, soft) = (redis.clone(), lifecycle.soft());
    lifecycle.spawn("redis", async move {
        kept.keep(soft).await;
        Ok::<_, Infallible>(())
    });
    Some(redis)
}

/// The keys that auth-service publishes, read from time to time. Who asks with a token before they were read is told to come
/// again: the services start in any order.
pub fn keep_keys(lifecycle: &Lifecycle, place: PublishedAt) -> anyhow::Result<PublishedKeys> {
    let keys = PublishedKeys::at(place)?;
    let (kept, soft) = (keys.clone(), lifecycle.soft());
    lifecycle.spawn("keys of access tokens", async move {
        kept.keep_fresh(soft).await;
        Ok::<_, Infallible>(())
    });
    Ok(keys)
}
