use std::net::SocketAddr;

use service::{
    access_token::{Parties, PublishedAt},
    http::HttpSettings,
    postgres::PostgresSettings,
    rate_limit::{LimitKey, RateLimits},
    redis::RedisSettings,
    settings::{Env, SettingError, SettingErrors, all},
};

/// For the API. The worker that follows events has settings of its own.
#[derive(Debug, Clone)]
pub struct UserSettings {
    /// `USER_LISTEN`; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `USER_ADMIN_LISTEN`: health and metrics, which are for the inside.
    pub admin_listen: SocketAddr,
    /// `USER_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    /// `USER_DATABASE_REPLICA_URL`, or `DATABASE_REPLICA_URL`: for lists, which may be a moment old.
    pub replica: Option<PostgresSettings>,
    pub http: HttpSettings,
    /// `AUTH_JWKS_URL`: where auth-service publishes the keys of access tokens.
    pub keys: PublishedAt,
    pub parties: Parties,
    /// `USER_REDIS_URL`, or `REDIS_URL`.
    pub redis: Option<RedisSettings>,
    pub limits: RateLimits,
    pub limit_key: LimitKey,
}

impl UserSettings {
    /// The variable that says where to listen.
    pub const LISTEN: &str = "USER_LISTEN";
    /// The variable that says where health and metrics are.
    pub const ADMIN_LISTEN: &str = "USER_ADMIN_LISTEN";

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let places = all((Self::listen(env), Self::admin_listen(env), HttpSettings::of_api(env)));
        let tokens = all((PublishedAt::from_env(env, "AUTH_JWKS_URL"), Parties::from_env(env)));
        let redis = RedisSettings::from_env(env, "USER");
        // A Redis that is named wrongly is one all the same.
        let counts_in_redis = !matches!(redis, Ok(None));
        let shared = all((redis, RateLimits::from_env(env), LimitKey::from_env(env, counts_in_redis)));
        let databases = all((PostgresSettings::from_env(env, "USER"), PostgresSettings::replica_from_env(env, "USER")));
        let (places, tokens, shared, databases) = all((places, tokens, shared, databases))?;
        let (listen, admin_listen, http) = places;
        let (keys, parties) = tokens;
        let (redis, limits, limit_key) = shared;
        let (database, replica) = databases;
        Ok(Self { listen, admin_listen, database, replica, http, keys, parties, redis, limits, limit_key })
    }

    /// `USER_LISTEN` alone.
    pub fn listen(env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 3002));
        env.parsed_or(Self::LISTEN, default, "an address and a port such as 127.0.0.1:3002")
    }

    /// `USER_ADMIN_LISTEN` alone, for who only wants to ask how the service is.
    pub fn admin_listen(env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 9107));
        env.parsed_or(Self::ADMIN_LISTEN, default, "an address and a port such as 127.0.0.1:9107")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: (&str, &str) = ("USER_DATABASE_URL", "postgresql://ada:hunter2@db/user_db");

    #[test]
    fn a_database_is_all_that_has_to_be_said_in_development() {
        let settings = UserSettings::from_env(&Env::of([DATABASE])).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3002");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9107");
        let parties = (settings.parties.issuer.as_str(), settings.parties.audience.as_str());
        assert_eq!(parties, ("http://127.0.0.1:3001", "waypost"));
        assert!(settings.redis.is_none() && settings.replica.is_none());
        let replica = ("USER_DATABASE_REPLICA_URL", "postgresql://ada:hunter2@replica/user_db?connection_limit=3");
        let settings = UserSettings::from_env(&Env::of([DATABASE, replica])).unwrap();
        assert_eq!(settings.replica.as_ref().unwrap().connection_limit, 3);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::of([
            ("APP_ENV", "staging"),
            ("USER_LISTEN", "3002"),
            ("USER_ADMIN_LISTEN", "here"),
            ("USER_DATABASE_REPLICA_URL", "replica"),
            ("USER_REDIS_URL", "redis://cache"),
            ("AUTH_JWKS_URL", "auth.example.com"),
            ("REPLICAS", "0"),
        ]);
        let error = UserSettings::from_env(&env).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.iter().count(), 8, "{text}");
        for start in [
            "USER_LISTEN is `3002`, should be an address and a port",
            "USER_ADMIN_LISTEN is `here`, should be an address and a port",
            "USER_DATABASE_URL is not set",
            "USER_DATABASE_REPLICA_URL ",
            "AUTH_JWKS_URL is `auth.example.com`, should be a URL",
            "AUTH_ISSUER is not set",
            "REPLICAS is `0`, should be a whole number",
            "RATE_LIMIT_KEY is not set, should be at least 32 random bytes",
        ] {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
