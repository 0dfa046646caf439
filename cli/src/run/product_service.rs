use product_service::{Parts, ProductSettings, Store};
use schemas::Clock;
use service::{
    access_token, http,
    lifecycle::Lifecycle,
    rate_limit::RateLimiter,
    settings::{Env, SettingErrors, all},
    telemetry::Metrics,
};

use super::api::{Sending, connect_redis, keep_keys};
use crate::producers::PRODUCT_SERVICE;

pub struct ProductService {
    settings: ProductSettings,
    sending: Sending,
}

impl ProductService {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (settings, sending) = all((ProductSettings::from_env(env), Sending::from_env(env, &PRODUCT_SERVICE)))?;
        Ok(Self { settings, sending })
    }

    pub async fn start(self, lifecycle: &Lifecycle, metrics: Metrics) -> anyhow::Result<()> {
        let Self { settings: ProductSettings { api, database }, sending } = self;
        let listener = http::bind(ProductSettings::LISTEN.variable, api.listen).await?;
        let admin_listener = http::bind(ProductSettings::ADMIN_LISTEN.variable, api.admin_listen).await?;
        let clock = Clock::system();
        let (pool, wake) = sending.start(lifecycle, &database, &clock).await?;
        access_token::describe_metrics();
        let redis = connect_redis(lifecycle, api.redis).await;
        let keys = keep_keys(lifecycle, api.keys)?;
        let limiter = RateLimiter::new(api.limits, api.limit_key.as_bytes(), redis.clone());

        let store = Store::new(pool, wake, clock);
        let health = product_service::health(&store, keys.clone(), redis, lifecycle.soft());
        let router = product_service::router(Parts { store, keys, parties: api.parties, limiter }, &api.http);
        let internal = product_service::internal_router(health, metrics, &api.http);
        let serve =
            |listener, router| http::serve(listener, router, api.http.clone(), lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn("product-service", serve(listener, router));
        lifecycle.spawn("product-service admin", serve(admin_listener, internal));
        Ok(())
    }
}
