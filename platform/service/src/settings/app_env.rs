use std::{fmt, str::FromStr};

use super::{Env, SettingError};

/// Which kind of environment this process runs in; it decides defaults, never behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppEnv {
    #[default]
    Development,
    Staging,
    Production,
}

impl AppEnv {
    /// From `APP_ENV`, or from `NODE_ENV` where that is unset.
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let name = if env.optional("APP_ENV")?.is_some() { "APP_ENV" } else { "NODE_ENV" };
        env.parsed_or(name, Self::default(), "development, staging or production")
    }
}

impl FromStr for AppEnv {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err(()),
        }
    }
}

impl fmt::Display for AppEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<AppEnv, String> {
        AppEnv::from_env(&Env::of(variables.iter().copied())).map_err(|error| error.to_string())
    }

    #[test]
    fn app_env_wins_over_node_env_and_nothing_means_development() {
        assert_eq!(read(&[]), Ok(AppEnv::Development));
        assert_eq!(read(&[("NODE_ENV", "staging")]), Ok(AppEnv::Staging));
        assert_eq!(read(&[("APP_ENV", "production"), ("NODE_ENV", "staging")]), Ok(AppEnv::Production));
        assert_eq!(read(&[("APP_ENV", ""), ("NODE_ENV", "staging")]), Ok(AppEnv::Staging));
        assert_eq!(
            read(&[("NODE_ENV", "prod")]),
            Err("NODE_ENV is `prod`, should be development, staging or production".to_owned())
        );
    }
}
