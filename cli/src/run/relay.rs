use std::convert::Infallible;

use outbox::{Relay, RelaySettings, Wake};
use schemas::Clock;
use service::{
    health::{self, Health},
    http::{self, HttpSettings},
    lifecycle::{self, Lifecycle},
    postgres::{self, PostgresSettings},
    settings::{Env, all},
};

use super::{
    settings::{RELAY_ADMIN_LISTEN, admin_listen},
    start_metrics, unless_stopped,
};
use crate::bus::BusSettings;

const NAME: &str = "relay";

/// A relay for the outbox of `service` (the prefix of its variables).
pub async fn start(env: &Env, service: &str) -> anyhow::Result<Lifecycle> {
    let (database, bus, listen, http, grace) = all((
        PostgresSettings::from_env(env, service),
        BusSettings::from_env(env),
        admin_listen(env, RELAY_ADMIN_LISTEN, 9101),
        HttpSettings::from_env(env),
        lifecycle::grace_from_env(env),
    ))?;
    let lifecycle = Lifecycle::with_signals(grace)?;
    let listener = http::bind(RELAY_ADMIN_LISTEN, listen).await?;
    let metrics = start_metrics(NAME, &lifecycle)?;

    unless_stopped(&lifecycle, database.wait_until_ready(bus.patience)).await?;
    let pool = database.connect_lazy(NAME);
    let publisher = unless_stopped(&lifecycle, bus.publisher()).await?;
    let wake = Wake::new();
    let listening = outbox::listen(database.connect_options(), wake.clone(), lifecycle.soft());
    lifecycle.spawn("listener", async move {
        listening.await;
        Ok::<_, Infallible>(())
    });
    let relaying = Relay::new(pool.clone(), publisher, RelaySettings::default(), Clock::system());
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
    lifecycle.spawn("admin", http::serve(listener, router, http, lifecycle.soft(), lifecycle.hard()));
    Ok(lifecycle)
}
