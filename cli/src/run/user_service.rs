use std::time::Duration;

use schemas::Clock;
use service::{
    access_token, http,
    lifecycle::Lifecycle,
    rate_limit::RateLimiter,
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};
use user_service::{NAME, Parts, Store, UserSettings, retention};

use super::{
    api::{connect_redis, keep_keys},
    unless_stopped,
};
use crate::bus::patience;

/// What users ask of user-service, and what administrators do. What is heard of accounts, its worker applies.
pub struct UserService {
    settings: UserSettings,
    patience: Duration,
}

impl UserService {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (settings, patience) = all((UserSettings::from_env(env), patience(env)))?;
        Ok(Self { settings, patience })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { settings: UserSettings { api, database, replica }, patience } = self;
        let listener = http::bind(UserSettings::LISTEN.variable, api.listen).await?;
        let admin_listener = http::bind(UserSettings::ADMIN_LISTEN.variable, api.admin_listen).await?;
        unless_stopped(lifecycle, database.wait_until_ready(patience)).await?;
        let pool = database.connect_lazy(NAME);
        // It is not waited for: without it, lists are read from the primary.
        let replica = replica.map(|replica| replica.connect_lazy(NAME));
        user_service::describe_metrics();
        access_token::describe_metrics();
        let redis = connect_redis(lifecycle, api.redis).await;
        let keys = keep_keys(lifecycle, api.keys)?;
        let limiter = RateLimiter::new(api.limits, api.limit_key.as_bytes(), redis.clone());
        let store = Store::new(pool, replica, Clock::system());
        lifecycle.spawn("retention of user-service", retention::keep(store.clone(), lifecycle.soft()));

        let health = user_service::health(&store, keys.clone(), redis, lifecycle.soft());
        let router = user_service::router(Parts { store, keys, parties: api.parties, limiter }, &api.http);
        let internal = user_service::internal_router(health, metrics, &api.http);
        let serve =
            |listener, router| http::serve(listener, router, api.http.clone(), lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn("user-service", serve(listener, router));
        lifecycle.spawn("user-service admin", serve(admin_listener, internal));
        Ok(())
    }
}
