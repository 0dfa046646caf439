//! An API that takes access tokens which another service made: a resource server, as RFC 6749 calls it. What each of them is set
//! by is the same, and is read here.

use std::net::SocketAddr;

use crate::{
    access_token::{Parties, PublishedAt},
    http::{HttpSettings, ListenSetting},
    rate_limit::{LimitKey, RateLimits},
    redis::RedisSettings,
    settings::{Env, SettingErrors, all},
};

#[derive(Debug, Clone)]
pub struct ResourceServerSettings {
    pub listen: SocketAddr,
    /// Health and metrics, which are for the inside.
    pub admin_listen: SocketAddr,
    pub http: HttpSettings,
    /// `AUTH_JWKS_URL`: where auth-service publishes the keys of access tokens.
    pub keys: PublishedAt,
    pub parties: Parties,
    pub redis: Option<RedisSettings>,
    pub limits: RateLimits,
    pub limit_key: LimitKey,
}

impl ResourceServerSettings {
    /// `prefix` is what variables of this service alone begin with, as in `USER_REDIS_URL`.
    pub fn from_env(
        env: &Env,
        prefix: &str,
        listen: ListenSetting,
        admin_listen: ListenSetting,
    ) -> Result<Self, SettingErrors> {
        let places = all((listen.read(env), admin_listen.read(env), HttpSettings::of_api(env)));
        let tokens = all((PublishedAt::from_env(env, "AUTH_JWKS_URL"), Parties::from_env(env)));
        let redis = RedisSettings::from_env(env, prefix);
        // A Redis that is named wrongly is one all the same.
        let counts_in_redis = !matches!(redis, Ok(None));
        let shared = all((redis, RateLimits::from_env(env), LimitKey::from_env(env, counts_in_redis)));
        let (places, tokens, shared) = all((places, tokens, shared))?;
        let (listen, admin_listen, http) = places;
        let (keys, parties) = tokens;
        let (redis, limits, limit_key) = shared;
        Ok(Self { listen, admin_listen, http, keys, parties, redis, limits, limit_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTEN: ListenSetting = ListenSetting::new("SHOP_LISTEN", 3009);
    const ADMIN_LISTEN: ListenSetting = ListenSetting::new("SHOP_ADMIN_LISTEN", 9109);

    fn read(variables: &[(&str, &str)]) -> Result<ResourceServerSettings, SettingErrors> {
        ResourceServerSettings::from_env(&Env::of(variables.iter().copied()), "SHOP", LISTEN, ADMIN_LISTEN)
    }

    #[test]
    fn nothing_has_to_be_said_in_development() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3009");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9109");
        let parties = (settings.parties.issuer.as_str(), settings.parties.audience.as_str());
        assert_eq!(parties, ("http://127.0.0.1:3001", "waypost"));
        assert!(settings.redis.is_none());
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let error = read(&[
            ("APP_ENV", "staging"),
            ("SHOP_LISTEN", "3009"),
            ("SHOP_ADMIN_LISTEN", "here"),
            ("SHOP_REDIS_URL", "redis://cache"),
            ("AUTH_JWKS_URL", "auth.example.com"),
            ("REPLICAS", "0"),
        ])
        .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.iter().count(), 6, "{text}");
        for start in [
            "SHOP_LISTEN is `3009`, should be an address and a port",
            "SHOP_ADMIN_LISTEN is `here`, should be an address and a port",
            "AUTH_JWKS_URL is `auth.example.com`, should be a URL",
            "AUTH_ISSUER is not set",
            "REPLICAS is `0`, should be a whole number",
            "RATE_LIMIT_KEY is not set, should be at least 32 random bytes",
        ] {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
