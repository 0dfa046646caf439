use std::{fmt, fs, time::Duration};

use redis::{Client, TlsCertificates};
use url::Url;

use crate::settings::{AppEnv, Env, SettingError, SettingErrors, all, is_this_machine};

/// How to reach Redis. Neither its text nor its debug form holds the password.
#[derive(Clone)]
pub struct RedisSettings {
    pub(super) client: Client,
    place: String,
    /// How long a call may take, before whoever asks does without: 50 ms.
    pub(super) deadline: Duration,
}

const DEADLINE: Duration = Duration::from_millis(50);

const EXAMPLE: &str = "a Redis URL such as redis://localhost:6379 or rediss://user:password@host:6379/0";
/// The file with the certificates of who may vouch for the server; where it is not said, those that the system trusts.
const ROOTS: &str = "sslrootcert";

impl RedisSettings {
    /// `AUTH_REDIS_URL` for the service `AUTH`, or `REDIS_URL`; `None` where neither is set. And `REDIS_DEADLINE_MS` (50).
    pub fn from_env(env: &Env, service: &str) -> Result<Option<Self>, SettingErrors> {
        let own = format!("{service}_REDIS_URL");
        let (app_env, own_url, url) = all((AppEnv::from_env(env), env.optional(&own), env.optional("REDIS_URL")))?;
        let deadline = env.millis_or("REDIS_DEADLINE_MS", DEADLINE, 1..=10_000);
        let (variable, url) = match (own_url, url) {
            (Some(url), _) => (own.as_str(), url),
            (None, Some(url)) => ("REDIS_URL", url),
            (None, None) => return Ok(deadline.map(|_| None)?),
        };
        let (settings, deadline) = all((Self::from_url(variable, url, app_env), deadline))?;
        Ok(Some(Self { deadline, ..settings }))
    }

    /// Another deadline.
    #[must_use]
    pub fn waiting(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// `variable` is where the URL comes from, for errors. In production Redis is reached over TLS, or on this machine.
    pub fn from_url(variable: &str, text: &str, app_env: AppEnv) -> Result<Self, SettingError> {
        // Nothing of it is shown: a password with an unescaped slash parses as a host and a path.
        let hidden = || SettingError::hidden(variable, EXAMPLE);
        let mut url = Url::parse(text).map_err(|_| hidden())?;
        // The driver would take the fragment `#insecure` for leave to trust anybody.
        let is_redis = matches!(url.scheme(), "redis" | "rediss") && url.host().is_some() && url.fragment().is_none();
        if !is_redis {
            return Err(hidden());
        }
        let is_secure = url.scheme() == "rediss";
        if app_env == AppEnv::Production && !is_secure && !is_this_machine(url.host_str().unwrap_or_default()) {
            return Err(SettingError::hidden(
                variable,
                "in production a URL that begins with `rediss:`, which is over TLS",
            ));
        }
        let mut roots = None;
        for (name, value) in url.query_pairs() {
            let wrong = |should_be: &str| SettingError::wrong(variable, &value, should_be).in_parameter(&name);
            if name != ROOTS {
                return Err(SettingError::hidden(variable, ROOTS).in_parameter(&name));
            }
            if !is_secure {
                return Err(wrong("in a URL that begins with `rediss:`"));
            }
            let read = fs::read(&*value);
            roots = Some(read.map_err(|error| wrong(&format!("a file with certificates in PEM form ({error})")))?);
        }
        url.set_query(None);
        let client = match roots {
            None => Client::open(url.as_str()),
            Some(roots) => {
                Client::build_with_tls(url.as_str(), TlsCertificates { client_tls: None, root_cert: Some(roots) })
            }
        };
        let client = client.map_err(|_| hidden())?;
        let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(6379));
        Ok(Self { client, place, deadline: DEADLINE })
    }
}

/// Where it is: `127.0.0.1:6379`.
impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("place", &self.place)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str, app_env: AppEnv) -> String {
        RedisSettings::from_url("REDIS_URL", url, app_env).unwrap_err().to_string()
    }

    #[test]
    fn a_services_own_variable_wins_and_none_is_none() {
        let read = |pairs: &[(&str, &str)]| {
            let found = RedisSettings::from_env(&Env::of(pairs.iter().copied()), "AUTH").unwrap();
            found.map(|settings| settings.to_string())
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("REDIS_URL", "redis://shared")]).as_deref(), Some("shared:6379"));
        assert_eq!(
            read(&[("REDIS_URL", "redis://shared"), ("AUTH_REDIS_URL", "rediss://u:p@own:7000/1")]).as_deref(),
            Some("own:7000")
        );
    }

    #[test]
    fn what_is_no_redis_is_refused_and_a_password_is_never_shown() {
        for url in [
            "hunter2",
            "http://ada:hunter2@redis",
            "redis:hunter2",
            "redis://ada:hunter2@redis/x",
            "rediss://ada:hunter2@redis/#insecure",
            "redis://ada:12/hunter2@redis",
            "redis://redis?password=hunter2",
            "redis://redis?sslrootcert=/etc/roots.pem",
            "rediss://ada:hunter2@redis?sslrootcert=/nowhere/roots.pem",
        ] {
            let error = error(url, AppEnv::Development);
            assert!(error.contains("REDIS_URL") && !error.contains("hunter2"), "{url}: {error}");
        }
        let settings = RedisSettings::from_url("U", "redis://ada:hunter2@redis", AppEnv::Staging).unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hunter2"));
    }

    #[test]
    fn in_production_it_is_tls_or_this_machine() {
        for url in ["rediss://cache.example.com", "redis://localhost", "redis://127.0.0.1:6380", "redis://[::1]"] {
            assert!(RedisSettings::from_url("REDIS_URL", url, AppEnv::Production).is_ok(), "{url}");
        }
        for url in ["redis://cache.example.com", "redis://10.0.0.7", "redis://localhost.example.com"] {
            assert!(error(url, AppEnv::Production).contains("begins with `rediss:`"), "{url}");
            assert!(RedisSettings::from_url("REDIS_URL", url, AppEnv::Staging).is_ok(), "{url}");
        }
    }
}
