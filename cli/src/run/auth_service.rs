use anyhow::Context;
use auth_service::{
    AuthKeys, AuthSettings, MailerKey, Parts, PasswordHasher, Pseudonyms, SigningKeys, Store, TokenIssuer, USER_CACHE,
    UseCases, retention,
};
use schemas::Clock;
use service::{
    access_token,
    cache::{self, Cache},
    http,
    lifecycle::Lifecycle,
    rate_limit::RateLimiter,
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use time::OffsetDateTime;

use super::api::{Sending, connect_redis};
use crate::producers::AUTH_SERVICE;

pub struct AuthService {
    settings: AuthSettings,
    sending: Sending,
}

impl AuthService {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (settings, sending) = all((AuthSettings::from_env(env), Sending::from_env(env, &AUTH_SERVICE)))?;
        Ok(Self { settings, sending })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { settings, sending } = self;
        let listener = http::bind(AuthSettings::LISTEN.variable, settings.listen).await?;
        let admin_listener = http::bind(AuthSettings::ADMIN_LISTEN.variable, settings.admin_listen).await?;
        let clock = Clock::system();
        let (pool, wake) = sending.start(lifecycle, &settings.database, &clock).await?;
        auth_service::describe_metrics();
        access_token::describe_metrics();
        cache::describe_metrics();

        let now = clock.now();
        let (keys, pseudonyms, mailer, hasher) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let (keys, pseudonyms, mailer) = open_keys(settings.keys, now)?;
            Ok((keys, pseudonyms, mailer, PasswordHasher::new(settings.hashing)?))
        })
        .await??;
        let redis = connect_redis(lifecycle, settings.redis).await;
        let limiter = RateLimiter::new(settings.limits, &pseudonyms.derive("rate limits"), redis.clone());
        let cache = Cache::new(USER_CACHE, redis.clone(), settings.cache_life);
        let (soft, store) = (lifecycle.soft(), Store::new(pool, wake, clock.clone(), cache));
        lifecycle.spawn("signing keys", keys.clone().keep_fresh(clock, soft.clone()));
        lifecycle.spawn("mailer key", mailer.clone().keep_fresh(soft.clone()));
        lifecycle.spawn("retention", retention::keep(store.clone(), settings.retention, soft));

        let issuer = TokenIssuer { issuer: settings.issuer, audience: settings.audience, keys };
        let (policy, verification) = (settings.policy, settings.verification);
        let parts = Parts { store, hasher, policy, verification, pseudonyms, issuer, mailer, limiter };
        let health = auth_service::health(&parts.store, redis, lifecycle.soft());
        let use_cases = UseCases::of(parts);
        lifecycle.spawn("account requests", use_cases.request_worker().run(lifecycle.soft()));
        let router = auth_service::router(use_cases, &settings.http);
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
