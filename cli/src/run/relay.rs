use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use messaging::Publisher;
use outbox::{Relay, RelaySettings, Wake};
use schemas::Clock;
use service::{
    health::{self, Condition, Health},
    http::{self, HttpSettings},
    lifecycle::Lifecycle,
    postgres::{self, PostgresSettings},
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use sqlx::PgPool;

use super::{
    settings::{RELAY_ADMIN, relay_settings},
    unless_stopped,
};
use crate::{bus::BusSettings, producers::Producer};

pub const NAME: &str = "relay";

/// Relays in a process that is none of their services'.
pub struct RelayProcess {
    outboxes: Vec<(&'static Producer, PostgresSettings)>,
    bus: BusSettings,
    relay: RelaySettings,
    listen: SocketAddr,
    http: HttpSettings,
}

impl RelayProcess {
    pub fn from_env(env: &Env, producers: &[&'static Producer]) -> Result<Self, SettingErrors> {
        let (outboxes, bus, relay, listen, http) = all((
            outboxes(env, producers),
            BusSettings::from_env(env),
            relay_settings(env),
            RELAY_ADMIN.read(env),
            HttpSettings::from_env(env),
        ))?;
        Ok(Self { outboxes, bus, relay, listen, http })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { outboxes, bus, relay, listen, http } = self;
        let listener = http::bind(RELAY_ADMIN.variable, listen).await?;
        let mut pools = Vec::new();
        for (producer, database) in outboxes {
            unless_stopped(lifecycle, database.wait_until_ready(bus.patience)).await?;
            let pool = database.connect_lazy(NAME);
            let publisher = unless_stopped(lifecycle, bus.publisher()).await?;
            let wake = Wake::new();
            let listening = outbox::listen(database.connect_options(), wake.clone(), lifecycle.soft());
            lifecycle.spawn(format!("listener of {}", producer.name), async move {
                listening.await;
                Ok::<_, Infallible>(())
            });
            run_relay(lifecycle, producer, &pool, publisher, relay, &bus, wake);
            pools.push(pool);
        }

        let health = Health::new(lifecycle.soft()).check("postgres", move || {
            let pools = pools.clone();
            async move { all_answer(&pools).await }
        });
        let router = http::app(health::routes(health, metrics).into(), &http);
        lifecycle.spawn("relay admin", http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
        Ok(())
    }
}

fn outboxes(
    env: &Env,
    producers: &[&'static Producer],
) -> Result<Vec<(&'static Producer, PostgresSettings)>, SettingErrors> {
    let mut wrong = SettingErrors::default();
    let read = |row: &&'static Producer| wrong.keep(row.database(env)).map(|database| (*row, database));
    let outboxes: Vec<_> = producers.iter().filter_map(read).collect();
    if wrong.is_empty() { Ok(outboxes) } else { Err(wrong) }
}

async fn all_answer(pools: &[PgPool]) -> Condition {
    for pool in pools {
        match postgres::check(pool).await {
            Condition::Ok => {}
            other => return other,
        }
    }
    Condition::Ok
}

/// The relay of one outbox, in this process, until it is asked to stop.
pub fn run_relay(
    lifecycle: &Lifecycle,
    producer: &'static Producer,
    pool: &PgPool,
    publisher: Arc<dyn Publisher>,
    settings: RelaySettings,
    bus: &BusSettings,
    wake: Wake,
) {
    outbox::describe_metrics();
    let relay = Relay::new(pool.clone(), publisher, settings, Clock::system());
    let relay = relay.labelled(bus.labels()).of(producer.name);
    let soft = lifecycle.soft();
    lifecycle.spawn(format!("relay of {}", producer.name), async move {
        relay.run(wake, soft).await;
        Ok::<_, Infallible>(())
    });
}
