use std::convert::Infallible;

use anyhow::Context;
use auth_service::{
    AuthKeys, AuthSettings, MailerKey, NAME, Parts, PasswordHasher, Pseudonyms, SigningKeys, Store, TokenIssuer,
    UseCases, retention,
};
use outbox::{OUTBOX, Relay, RelaySettings, Wake};
use schemas::Clock;
use service::{
    http,
    lifecycle::Lifecycle,
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use time::OffsetDateTime;

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
        let admin_listener = http::bind(AuthSettings::ADMIN_LISTEN, settings.admin_listen).await?;
        unless_stopped(lifecycle, settings.database.wait_until_ready(bus.patience)).await?;
        let pool = settings.database.connect_lazy(NAME);
        let clock = Clock::system();
        // A registration must find this week's partition, and the relay that makes it may be elsewhere or later.
        partitions::maintain(&pool, OUTBOX, clock.now()).await?;
        auth_service::describe_metrics();
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

        let now = clock.now();
        let (keys, pseudonyms, mailer, hasher) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let (keys, pseudonyms, mailer) = open_keys(settings.keys, now)?;
            Ok((keys, pseudonyms, mailer, PasswordHasher::new(settings.hashing)?))
        })
        .await??;
        let (soft, store) = (lifecycle.soft(), Store::new(pool.clone(), wake, clock.clone()));
        lifecycle.spawn("signing keys", keys.clone().keep_fresh(clock, soft.clone()));
        lifecycle.spawn("mailer key", mailer.clone().keep_fresh(soft.clone()));
        lifecycle.spawn("retention", retention::keep(store.clone(), settings.retention, soft));

        let issuer = TokenIssuer { issuer: settings.issuer, audience: settings.audience, keys };
        let (policy, verification) = (settings.policy, settings.verification);
        let parts = Parts { store, hasher, policy, verification, pseudonyms, issuer, mailer };
        let router = auth_service::router(UseCases::of(parts), &settings.http);
        let health = auth_service::health(pool, lifecycle.soft());
        let internal = auth_service::internal_router(health, metrics, &settings.http);
        let serve =
            |listener, router| http::serve(listener, router, settings.http.clone(), lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn("http", serve(listener, router));
        lifecycle.spawn("auth-service admin", serve(admin_listener, internal));
        Ok(())
    }
}

fn open_keys(keys: AuthKeys, now: OffsetDateTime) -> anyhow::Result<(SigningKeys, Pseudonyms, MailerKey)> {
    let signing = SigningKeys::open(keys.signing, now).context("auth-service can't sign access tokens")?;
    let pseudonyms = keys.pseudonyms.open(now).context("auth-service can't make pseudonyms")?;
    let mailer = MailerKey::open(keys.mailer).context("auth-service can't seal tokens for the mailer")?;
    Ok((signing, pseudonyms, mailer))
}
