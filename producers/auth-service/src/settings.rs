use std::net::SocketAddr;

use service::{
    http::HttpSettings,
    postgres::PostgresSettings,
    settings::{Env, SettingError, SettingErrors, all},
};

use crate::HashLimits;

#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `AUTH_LISTEN`; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `AUTH_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    pub hashing: HashLimits,
    pub http: HttpSettings,
}

impl AuthSettings {
    /// The variable that says where to listen.
    pub const LISTEN: &str = "AUTH_LISTEN";

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (listen, database, hashing, http) = all((
            Self::listen(env),
            PostgresSettings::from_env(env, "AUTH"),
            HashLimits::from_env(env),
            HttpSettings::from_env(env),
        ))?;
        Ok(Self { listen, database, hashing, http })
    }

    /// `AUTH_LISTEN` alone, for who only wants to ask how the service is.
    pub fn listen(env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 3001));
        env.parsed_or(Self::LISTEN, default, "an address and a port such as 127.0.0.1:3001")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_all_that_has_to_be_said() {
        let env = Env::of([("AUTH_DATABASE_URL", "postgresql://ada:hunter2@db/auth_db")]);
        let settings = AuthSettings::from_env(&env).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3001");
        assert_eq!(settings.hashing.queue, 64);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::of([("AUTH_LISTEN", "3001"), ("AUTH_HASH_QUEUE", "-1")]);
        assert_eq!(
            AuthSettings::from_env(&env).unwrap_err().to_string(),
            "3 settings are wrong:\n  \
             AUTH_LISTEN is `3001`, should be an address and a port such as 127.0.0.1:3001\n  \
             AUTH_DATABASE_URL is not set, should be a PostgreSQL URL such as \
             postgresql://user:password@host:5432/database (DATABASE_URL serves as well)\n  \
             AUTH_HASH_QUEUE is `-1`, should be a whole number from 0 to 10000"
        );
    }
}
