use std::{convert::Infallible, net::SocketAddr};

use outbox::{Relay, RelaySettings, Wake};
use schemas::Clock;
use service::{
    health::{self, Health},
    http::{self, HttpSettings},
    lifecycle::Lifecycle,
    postgres::{self, PostgresSettings},
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};

use super::{
    Producer,
    settings::{RELAY_ADMIN, relay_settings},
    unless_stopped,
};
use crate::bus::BusSettings;

pub const NAME: &str = "relay";

/// A relay by itself, for the outbox of one service.
pub struct RelayProcess {
    database: PostgresSettings,
    bus: BusSettings,
    relay: RelaySettings,
    listen: SocketAddr,
    http: HttpSettings,
}

impl RelayProcess {
    pub fn from_env(env: &Env, service: Producer) -> Result<Self, SettingErrors> {
        let prefix = match service {
            Producer::Auth => "AUTH",
        };
        let (database, bus, relay, listen, http) = all((
            PostgresSettings::from_env(env, prefix),
            BusSettings::from_env(env),
            relay_settings(env),
            RELAY_ADMIN.read(env),
            HttpSettings::from_env(env),
        ))?;
        Ok(Self { database, bus, relay, listen, http })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { database, bus, relay, listen, http } = self;
        let listener = http::bind(RELAY_ADMIN.variable, listen).await?;
        unless_stopped(lifecycle, database.wait_until_ready(bus.patience)).await?;
        let pool = database.connect_lazy(NAME);
        let publisher = unless_stopped(lifecycle, bus.publisher()).await?;
        outbox::describe_metrics();
        let wake = Wake::new();
        let listening = outbox::listen(database.connect_options(), wake.clone(), lifecycle.soft());
        lifecycle.spawn("listener", async move {
            listening.await;
            Ok::<_, Infallible>(())
        });
        let relaying = Relay::new(pool.clone(), publisher, relay, Clock::system()).labelled(bus.labels());
        let soft = lifecycle.soft();
        lifecycle.spawn("relay", async move {
            relaying.run(wake, soft).await;
            Ok::<_, Infallible>(())
        });

        let health = Health::new(lifecycle.soft()).check("postgres", move || {
            let pool = pool.clone();
            async move { postgres::check(&pool).await }
        });
        let router = http::app(health::routes(health, metrics).into(), &http);
        lifecycle.spawn("relay admin", http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
        Ok(())
    }
}
