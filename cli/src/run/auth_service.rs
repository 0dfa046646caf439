use std::convert::Infallible;

use auth_service::{AuthSettings, NAME, PasswordHasher, Registration};
use outbox::{OUTBOX, Relay, RelaySettings, Wake};
use schemas::Clock;
use service::{
    http,
    lifecycle::Lifecycle,
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};

use super::{
    settings::{RelayPlace, relay_place, relay_settings},
    unless_stopped,
};
use crate::bus::BusSettings;

pub struct AuthService {
    settings: AuthSettings,
    bus: BusSettings,
    place: RelayPlace,
    relay: RelaySettings,
}

impl AuthService {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (settings, bus, place, relay) =
            all((AuthSettings::from_env(env), BusSettings::from_env(env), relay_place(env), relay_settings(env)))?;
        Ok(Self { settings, bus, place, relay })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { settings, bus, place, relay } = self;
        let listener = http::bind(AuthSettings::LISTEN, settings.listen).await?;
        unless_stopped(lifecycle, settings.database.wait_until_ready(bus.patience)).await?;
        let pool = settings.database.connect_lazy(NAME);
        let clock = Clock::system();
        // A registration must find this week's partition, and the relay that makes it may be elsewhere or later.
        partitions::maintain(&pool, OUTBOX, clock.now()).await?;
        let wake = Wake::new();
        match place {
            RelayPlace::Inline => {
                let publisher = unless_stopped(lifecycle, bus.publisher()).await?;
                outbox::describe_metrics();
                let relay = Relay::new(pool.clone(), publisher, relay, clock.clone()).labelled(bus.labels());
                let (wake, soft) = (wake.clone(), lifecycle.soft());
                lifecycle.spawn("relay", async move {
                    relay.run(wake, soft).await;
                    Ok::<_, Infallible>(())
                });
            }
            RelayPlace::Standalone => {
                let (database, wake, soft) = (settings.database.connect_options(), wake.clone(), lifecycle.soft());
                lifecycle.spawn("announcer", async move {
                    outbox::announce(database, wake, soft).await;
                    Ok::<_, Infallible>(())
                });
            }
        }

        let hasher = PasswordHasher::new(settings.hashing);
        let registration = Registration::new(pool.clone(), hasher, wake, clock);
        let health = auth_service::health(pool, lifecycle.soft());
        let router = auth_service::router(registration, health, metrics, &settings.http);
        let serving = http::serve(listener, router, settings.http, lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn("http", serving);
        Ok(())
    }
}
