use std::net::SocketAddr;

use service::{
    access_token::{Parties, PublishedAt},
    http::HttpSettings,
    postgres::PostgresSettings,
    rate_limit::{LimitKey, RateLimits},
    redis::RedisSettings,
    settings::{Env, SettingError, SettingErrors, all},
};

#[derive(Debug, Clone)]
pub struct ProductSettings {
    /// `PRODUCT_LISTEN`; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `PRODUCT_ADMIN_LISTEN`: health and metrics, which are for the inside.
    pub admin_listen: SocketAddr,
    /// `PRODUCT_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    pub http: HttpSettings,
    /// `AUTH_JWKS_URL`: where auth-service publishes the keys of access tokens.
    pub keys: PublishedAt,
    pub parties: Parties,
    /// `PRODUCT_REDIS_URL`, or `REDIS_URL`.
    pub redis: Option<RedisSettings>,
    pub limits: RateLimits,
    pub limit_key: LimitKey,
}

impl ProductSettings {
    /// The variable that says where to listen.
    pub const LISTEN: &str = "PRODUCT_LISTEN";
    /// The variable that says where health and metrics are.
    pub const ADMIN_LISTEN: &str = "PRODUCT_ADMIN_LISTEN";

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let places = all((Self::listen(env), Self::admin_listen(env), HttpSettings::of_api(env)));
        let tokens = all((PublishedAt::from_env(env, "AUTH_JWKS_URL"), Parties::from_env(env)));
        let redis = RedisSettings::from_env(env, "PRODUCT");
        // A Redis that is named wrongly is one all the same.
        let counts_in_redis = !matches!(redis, Ok(None));
        let shared = all((redis, RateLimits::from_env(env), LimitKey::from_env(env, counts_in_redis)));
        let database = PostgresSettings::from_env(env, "PRODUCT");
        let (places, tokens, shared, database) = all((places, tokens, shared, database))?;
        let (listen, admin_listen, http) = places;
        let (keys, parties) = tokens;
        let (redis, limits, limit_key) = shared;
        Ok(Self { listen, admin_listen, database, http, keys, parties, redis, limits, limit_key })
    }

    /// `PRODUCT_LISTEN` alone.
    pub fn listen(env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 3003));
        env.parsed_or(Self::LISTEN, default, "an address and a port such as 127.0.0.1:3003")
    }

    /// `PRODUCT_ADMIN_LISTEN` alone, for who only wants to ask how the service is.
    pub fn admin_listen(env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 9106));
        env.parsed_or(Self::ADMIN_LISTEN, default, "an address and a port such as 127.0.0.1:9106")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: (&str, &str) = ("PRODUCT_DATABASE_URL", "postgresql://ada:hunter2@db/product_db");

    #[test]
    fn a_database_is_all_that_has_to_be_said_in_development() {
        let settings = ProductSettings::from_env(&Env::of([DATABASE])).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3003");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9106");
        let parties = (settings.parties.issuer.as_str(), settings.parties.audience.as_str());
        assert_eq!(parties, ("http://127.0.0.1:3001", "waypost"));
        assert!(settings.redis.is_none());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::of([
            ("APP_ENV", "staging"),
            ("PRODUCT_LISTEN", "3003"),
            ("PRODUCT_ADMIN_LISTEN", "here"),
            ("PRODUCT_REDIS_URL", "redis://cache"),
            ("AUTH_JWKS_URL", "auth.example.com"),
            ("REPLICAS", "0"),
        ]);
        let error = ProductSettings::from_env(&env).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.iter().count(), 7, "{text}");
        for start in [
            "PRODUCT_LISTEN is `3003`, should be an address and a port",
            "PRODUCT_ADMIN_LISTEN is `here`, should be an address and a port",
            "PRODUCT_DATABASE_URL is not set",
            "AUTH_JWKS_URL is `auth.example.com`, should be a URL",
            "AUTH_ISSUER is not set",
            "REPLICAS is `0`, should be a whole number",
            "RATE_LIMIT_KEY is not set, should be at least 32 random bytes",
        ] {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
