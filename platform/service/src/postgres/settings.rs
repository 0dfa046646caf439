use std::{fmt, ops::RangeInclusive, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::url::take_apart;
use crate::settings::{AppEnv, Env, SettingError, SettingErrors, all, is_this_machine, number_within};

/// How to reach one database. Neither its text nor its debug form holds the password.
#[derive(Clone)]
pub struct PostgresSettings {
    pub connection_limit: u32,
    pub pool_timeout: Duration,
    pub connect_timeout: Duration,
    pub(super) variable: String,
    pub(super) options: PgConnectOptions,
}

/// A database URL, and the variable that held it.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    pub variable: String,
    pub url: SecretString,
}

/// How long a connection that nobody used is taken for a good one. Whoever meets one that broke meanwhile is told that the
/// database is away, as whoever was using it at that moment is.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(1);
const CONNECTION_LIMIT: &str = "connection_limit";
const POOL_TIMEOUT: &str = "pool_timeout";
const CONNECT_TIMEOUT: &str = "connect_timeout";

/// `AUTH_DATABASE_URL` for the service `AUTH`, or `DATABASE_URL` where that is unset.
pub fn database_url(env: &Env, service: &str) -> Result<DatabaseUrl, SettingError> {
    let own = format!("{service}_DATABASE_URL");
    for variable in [own.as_str(), "DATABASE_URL"] {
        if let Some(url) = env.optional(variable)? {
            return Ok(DatabaseUrl { variable: variable.to_owned(), url: url.into() });
        }
    }
    Err(SettingError::unset(
        &own,
        "a PostgreSQL URL such as postgresql://user:password@host:5432/database (DATABASE_URL serves as well)",
    ))
}

/// Where the URL is silent: connections, then seconds.
fn defaults(app_env: AppEnv) -> (u32, u64, u64) {
    match app_env {
        AppEnv::Development => (10, 5, 5),
        AppEnv::Staging => (5, 10, 10),
        AppEnv::Production => (20, 10, 10),
    }
}

impl PostgresSettings {
    pub fn from_env(env: &Env, service: &str) -> Result<Self, SettingErrors> {
        let (app_env, found) = all((AppEnv::from_env(env), database_url(env, service)))?;
        Self::from_url(&found.variable, found.url.expose_secret(), app_env)
    }

    /// A read replica: `USER_DATABASE_REPLICA_URL` for the service `USER`, or `DATABASE_REPLICA_URL`; `None` where neither is
    /// set.
    pub fn replica_from_env(env: &Env, service: &str) -> Result<Option<Self>, SettingErrors> {
        let own = format!("{service}_DATABASE_REPLICA_URL");
        let app_env = AppEnv::from_env(env)?;
        for variable in [own.as_str(), "DATABASE_REPLICA_URL"] {
            if let Some(url) = env.optional(variable)? {
                return Self::from_url(variable, url, app_env).map(Some);
            }
        }
        Ok(None)
    }

    /// `variable` is where the URL comes from, for errors.
    pub fn from_url(variable: &str, url: &str, app_env: AppEnv) -> Result<Self, SettingErrors> {
        let parts = take_apart(variable, url, &[CONNECTION_LIMIT, POOL_TIMEOUT, CONNECT_TIMEOUT])?;
        let parameter = |name, default, range: RangeInclusive<u64>| {
            let Some((_, text)) = parts.pool.iter().rev().find(|(n, _)| n == name) else { return Ok(default) };
            number_within(text, &range)
                .map_err(|should_be| SettingError::wrong(variable, text, &should_be).in_parameter(name))
        };
        let (connections, wait, connect) = defaults(app_env);
        let (connection_limit, pool_timeout, connect_timeout) = all((
            parameter(CONNECTION_LIMIT, connections.into(), 1..=10_000),
            parameter(POOL_TIMEOUT, wait, 1..=3_600),
            parameter(CONNECT_TIMEOUT, connect, 1..=3_600),
        ))?;
        Ok(Self {
            connection_limit: connection_limit as u32,
            pool_timeout: Duration::from_secs(pool_timeout),
            connect_timeout: Duration::from_secs(connect_timeout),
            variable: variable.to_owned(),
            options: in_this_environment(variable, parts.options, parts.says_sslmode, app_env)?,
        })
    }

    /// A pool that opens its first connection when it is first asked for one. `process` is what the server shows as
    /// `application_name`, unless the URL says another.
    pub fn connect_lazy(&self, process: &str) -> PgPool {
        let options = match self.options.get_application_name() {
            Some(_) => self.options.clone(),
            None => self.options.clone().application_name(process),
        };
        PgPoolOptions::new()
            .max_connections(self.connection_limit)
            .acquire_timeout(self.pool_timeout)
            // The driver tries every connection twice: when it is put back, and when it is taken. Under load nothing happens
            // between the two, and the second is a round trip more for each statement.
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(
                    async move { Ok(known.idle_for < TRUSTED_FOR || sqlx::Connection::ping(connection).await.is_ok()) },
                )
            })
            .connect_lazy_with(options)
    }

    /// The driver's own settings, for a connection outside the pool (`LISTEN`, migrations). Their debug form holds the
    /// password.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

/// In production a database on another machine is reached over TLS, and only as the one that its certificate names.
fn in_this_environment(
    variable: &str,
    options: PgConnectOptions,
    says_sslmode: bool,
    app_env: AppEnv,
) -> Result<PgConnectOptions, SettingError> {
    let is_this_machine = options.get_socket().is_some() || is_this_machine(options.get_host());
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    if app_env != AppEnv::Production || is_this_machine || is_verified {
        return Ok(options);
    }
    if !says_sslmode {
        return Ok(options.ssl_mode(PgSslMode::VerifyFull));
    }
    let should_be = "`verify-full` in production, or left out, which means the same there";
    Err(SettingError::hidden(variable, should_be).in_parameter("sslmode"))
}

/// The database and where it is: `auth_db at 127.0.0.1:5433`.
impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        match options.get_socket() {
            Some(socket) => write!(f, "{database} at {}", socket.display()),
            None => write!(f, "{database} at {}:{}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("variable", &self.variable)
            .field("database", &self.to_string())
            .field(CONNECTION_LIMIT, &self.connection_limit)
            .field(POOL_TIMEOUT, &self.pool_timeout)
            .field(CONNECT_TIMEOUT, &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgresql://ada:hunter2@db.example:5432/auth_db";

    fn read(query: &str, app_env: AppEnv) -> Result<PostgresSettings, String> {
        PostgresSettings::from_url("AUTH_DATABASE_URL", &format!("{URL}{query}"), app_env)
            .map_err(|error| error.to_string())
    }

    fn error(url: &str) -> String {
        PostgresSettings::from_url("AUTH_DATABASE_URL", url, AppEnv::Development).unwrap_err().to_string()
    }

    #[test]
    fn the_url_decides_over_the_environment_parameter_by_parameter() {
        use AppEnv::{Development, Production, Staging};
        for (query, app_env, limit, pool, connect) in [
            ("", Development, 10, 5, 5),
            ("", Staging, 5, 10, 10),
            ("", Production, 20, 10, 10),
            ("?connection_limit=7", Development, 7, 5, 5),
            ("?pool_timeout=3&sslmode=disable", Staging, 5, 3, 10),
            ("?connect_timeout=1&connection_limit=50&pool_timeout=2", Production, 50, 2, 1),
        ] {
            let settings = read(query, app_env).unwrap();
            assert_eq!(settings.connection_limit, limit, "{app_env} {query}");
            assert_eq!(settings.pool_timeout, Duration::from_secs(pool), "{app_env} {query}");
            assert_eq!(settings.connect_timeout, Duration::from_secs(connect), "{app_env} {query}");
        }
    }

    #[tokio::test]
    async fn the_pool_is_what_the_settings_say() {
        let pool = read("?connection_limit=7&pool_timeout=2", AppEnv::Production).unwrap().connect_lazy("auth-service");
        assert_eq!(pool.options().get_max_connections(), 7);
        assert_eq!(pool.options().get_acquire_timeout(), Duration::from_secs(2));
        assert!(!pool.options().get_test_before_acquire(), "every statement would wait for a round trip more");
        assert_eq!(pool.connect_options().get_application_name(), Some("auth-service"));
        let named = read("?application_name=other", AppEnv::Production).unwrap().connect_lazy("auth-service");
        assert_eq!(named.connect_options().get_application_name(), Some("other"));
    }

    #[test]
    fn what_is_the_drivers_goes_to_the_driver() {
        let settings = read("?sslmode=verify-full&pool_timeout=2&application_name=x", AppEnv::Production).unwrap();
        assert!(matches!(settings.options.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(settings.options.get_application_name(), Some("x"));
        assert_eq!(settings.to_string(), "auth_db at db.example:5432");
        let socket = PostgresSettings::from_url("U", "postgres:///d?host=/run/pg&user=ada", AppEnv::Staging).unwrap();
        assert_eq!(socket.to_string(), "d at /run/pg");
    }

    #[test]
    fn in_production_a_database_elsewhere_is_reached_over_tls_and_by_its_name() {
        let mode = |url: &str, app_env| {
            let settings = PostgresSettings::from_url("AUTH_DATABASE_URL", url, app_env).unwrap();
            settings.options.get_ssl_mode()
        };
        assert!(matches!(mode(URL, AppEnv::Production), PgSslMode::VerifyFull));
        assert!(matches!(mode(URL, AppEnv::Staging), PgSslMode::Prefer));
        for here in ["localhost", "127.0.0.1", "[::1]"] {
            let url = format!("postgresql://ada@{here}/auth_db");
            assert!(matches!(mode(&url, AppEnv::Production), PgSslMode::Prefer), "{here}");
        }
        for weaker in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let error = read(&format!("?sslmode={weaker}"), AppEnv::Production).unwrap_err();
            assert!(error.starts_with("AUTH_DATABASE_URL: the parameter `sslmode`"), "{error}");
            assert!(error.contains("`verify-full` in production"), "{error}");
            assert!(read(&format!("?sslmode={weaker}"), AppEnv::Staging).is_ok());
        }
        let url = "postgresql://ada@localhost.example.com/auth_db";
        assert!(matches!(mode(url, AppEnv::Production), PgSslMode::VerifyFull));
    }

    #[test]
    fn every_wrong_parameter_is_named_with_its_variable() {
        assert_eq!(
            read("?connection_limit=0&pool_timeout=ten", AppEnv::Production).unwrap_err(),
            "2 settings are wrong:\n  \
             AUTH_DATABASE_URL: the parameter `connection_limit` is `0`, should be a whole number from 1 to 10000\n  \
             AUTH_DATABASE_URL: the parameter `pool_timeout` is `ten`, should be a whole number from 1 to 3600"
        );
        let misspelt = read("?conection_limit=5&sslmode=on", AppEnv::Production).unwrap_err();
        assert!(misspelt.contains("the parameter `conection_limit` holds a value that is not shown, should be one of"));
        assert!(misspelt.contains("the parameter `sslmode` is `on`, should be disable, allow"), "{misspelt}");
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "mysql://ada:hunter2@db/auth_db",
            "postgres://ada:hunter2@db",
            "postgres://ada:12/hunter2@db/auth_db",
            "mysql://ada:12/hunter2@db/auth_db",
            "postgres:hunter2",
            "mysql://db/auth_db?password=hunter2",
            "postgres://ada:hunter2@db:port/auth_db",
            "postgres://db/auth_db?passwort=hunter2",
            "ada:hunter2@db/auth_db",
            "hunter2",
        ] {
            let Err(error) = PostgresSettings::from_url("AUTH_DATABASE_URL", url, AppEnv::Production) else { continue };
            let text = format!("{error} {error:?}");
            assert!(text.contains("AUTH_DATABASE_URL") && !text.contains("hunter2"), "{url}: {text}");
        }
        assert!(error("mysql://ada:hunter2@db/auth_db").contains("is `mysql://ada:***@db/auth_db`, should be"));
        let settings = read("", AppEnv::Production).unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hunter2"));
    }

    #[test]
    fn a_services_own_variable_wins() {
        let env = Env::of([("DATABASE_URL", "postgres://a/b"), ("AUTH_DATABASE_URL", "postgres://c/d")]);
        assert_eq!(database_url(&env, "AUTH").unwrap().variable, "AUTH_DATABASE_URL");
        assert_eq!(database_url(&env, "USER").unwrap().variable, "DATABASE_URL");
        let error = PostgresSettings::from_env(&Env::of([("APP_ENV", "x")]), "AUTH").unwrap_err().to_string();
        assert!(error.contains("APP_ENV is `x`") && error.contains("AUTH_DATABASE_URL is not set"), "{error}");
    }

    #[test]
    fn a_replica_is_named_or_there_is_none() {
        let read = |variables: &[(&str, &str)]| {
            let settings = PostgresSettings::replica_from_env(&Env::of(variables.iter().copied()), "USER");
            settings.map(|settings| settings.map(|settings| settings.variable)).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[("USER_DATABASE_URL", URL), ("DATABASE_URL", URL)]), Ok(None));
        assert_eq!(read(&[("DATABASE_REPLICA_URL", URL)]), Ok(Some("DATABASE_REPLICA_URL".to_owned())));
        let both = [("DATABASE_REPLICA_URL", "nonsense"), ("USER_DATABASE_REPLICA_URL", URL)];
        assert_eq!(read(&both), Ok(Some("USER_DATABASE_REPLICA_URL".to_owned())));
        let wrong = read(&[("USER_DATABASE_REPLICA_URL", "mysql://ada:hunter2@db/user_db")]).unwrap_err();
        assert!(wrong.starts_with("USER_DATABASE_REPLICA_URL is `mysql://ada:***@db/user_db`"), "{wrong}");
    }
}
