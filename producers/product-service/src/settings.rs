use service::{
    http::ListenSetting,
    postgres::PostgresSettings,
    resource_server::ResourceServerSettings,
    settings::{Env, SettingErrors, all},
};

#[derive(Debug, Clone)]
pub struct ProductSettings {
    pub api: ResourceServerSettings,
    /// `PRODUCT_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
}

impl ProductSettings {
    pub const LISTEN: ListenSetting = ListenSetting::new("PRODUCT_LISTEN", 3003);
    /// Of health and metrics.
    pub const ADMIN_LISTEN: ListenSetting = ListenSetting::new("PRODUCT_ADMIN_LISTEN", 9106);

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (api, database) = all((
            ResourceServerSettings::from_env(env, "PRODUCT", Self::LISTEN, Self::ADMIN_LISTEN),
            PostgresSettings::from_env(env, "PRODUCT"),
        ))?;
        Ok(Self { api, database })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: (&str, &str) = ("PRODUCT_DATABASE_URL", "postgresql://ada:hunter2@db/product_db");

    #[test]
    fn a_database_is_all_that_has_to_be_said_in_development() {
        let settings = ProductSettings::from_env(&Env::of([DATABASE])).unwrap();
        assert_eq!(settings.api.listen.to_string(), "127.0.0.1:3003");
        assert_eq!(settings.api.admin_listen.to_string(), "127.0.0.1:9106");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::of([("PRODUCT_ADMIN_LISTEN", "here"), ("PRODUCT_REDIS_URL", "cache")]);
        let text = ProductSettings::from_env(&env).unwrap_err().to_string();
        for start in ["PRODUCT_ADMIN_LISTEN is `here`", "PRODUCT_DATABASE_URL is not set", "PRODUCT_REDIS_URL "] {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
