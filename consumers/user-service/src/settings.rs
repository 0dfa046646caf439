use service::{
    http::ListenSetting,
    postgres::PostgresSettings,
    resource_server::ResourceServerSettings,
    settings::{Env, SettingErrors, all},
};

/// For the API. The worker that follows events has settings of its own.
#[derive(Debug, Clone)]
pub struct UserSettings {
    pub api: ResourceServerSettings,
    /// `USER_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    /// `USER_DATABASE_REPLICA_URL`, or `DATABASE_REPLICA_URL`: for lists, which may be a moment old.
    pub replica: Option<PostgresSettings>,
}

impl UserSettings {
    pub const LISTEN: ListenSetting = ListenSetting::new("USER_LISTEN", 3002);
    /// Of health and metrics.
    pub const ADMIN_LISTEN: ListenSetting = ListenSetting::new("USER_ADMIN_LISTEN", 9107);

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (api, database, replica) = all((
            ResourceServerSettings::from_env(env, "USER", Self::LISTEN, Self::ADMIN_LISTEN),
            PostgresSettings::from_env(env, "USER"),
            PostgresSettings::replica_from_env(env, "USER"),
        ))?;
        Ok(Self { api, database, replica })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: (&str, &str) = ("USER_DATABASE_URL", "postgresql://ada:hunter2@db/user_db");

    #[test]
    fn a_database_is_all_that_has_to_be_said_in_development() {
        let settings = UserSettings::from_env(&Env::of([DATABASE])).unwrap();
        assert_eq!(settings.api.listen.to_string(), "127.0.0.1:3002");
        assert_eq!(settings.api.admin_listen.to_string(), "127.0.0.1:9107");
        assert!(settings.replica.is_none());
        let replica = ("USER_DATABASE_REPLICA_URL", "postgresql://ada:hunter2@replica/user_db?connection_limit=3");
        let settings = UserSettings::from_env(&Env::of([DATABASE, replica])).unwrap();
        assert_eq!(settings.replica.as_ref().unwrap().connection_limit, 3);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env =
            Env::of([("USER_LISTEN", "3002"), ("USER_DATABASE_REPLICA_URL", "replica"), ("USER_REDIS_URL", "cache")]);
        let error = UserSettings::from_env(&env).unwrap_err();
        let text = error.to_string();
        for start in
            ["USER_LISTEN is `3002`", "USER_DATABASE_URL is not set", "USER_DATABASE_REPLICA_URL ", "USER_REDIS_URL "]
        {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
