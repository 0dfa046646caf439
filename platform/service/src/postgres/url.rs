//! Takes a database URL apart: what is ours, what is the driver's, and what may be shown of it.

use std::net::IpAddr;

use ::url::Url;
use sqlx::{ConnectOptions, postgres::PgConnectOptions, postgres::PgSslMode};

use crate::settings::{SettingError, SettingErrors};

const EXAMPLE: &str = "a PostgreSQL URL such as postgresql://user:password@host:5432/database";

/// What the driver itself reads from a URL, beside `options[…]`.
const DRIVER: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Of one URL: the pool's parameters as they stand there, and the rest for the driver.
pub(super) struct Parts {
    pub options: PgConnectOptions,
    /// Whether the URL itself says how to use TLS.
    pub says_sslmode: bool,
    pub pool: Vec<(String, String)>,
}

pub(super) fn take_apart(variable: &str, text: &str, ours: &[&str]) -> Result<Parts, SettingErrors> {
    // Not even the start of it is shown: a password with an unescaped slash parses as a host and a path.
    let mut url = Url::parse(text).map_err(|_| SettingError::hidden(variable, EXAMPLE))?;
    let names_database = url.path().len() > 1 || url.query_pairs().any(|(name, _)| name == "dbname");
    if !matches!(url.scheme(), "postgres" | "postgresql") || !names_database {
        return Err(wrong_url(variable, &url).into());
    }

    let (pool, driver): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .partition(|(name, _)| ours.contains(&name.as_str()));
    let mut wrong = SettingErrors::default();
    for (name, value) in &driver {
        wrong.keep(check_driver_parameter(variable, name, value, ours));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }

    let says_sslmode = driver.iter().any(|(name, _)| matches!(name.as_str(), "sslmode" | "ssl-mode"));
    url.set_query(None);
    if !driver.is_empty() {
        url.query_pairs_mut().extend_pairs(driver);
    }
    // The driver's own error may quote the URL.
    let options = PgConnectOptions::from_url(&url).map_err(|_| SettingError::hidden(variable, EXAMPLE))?;
    Ok(Parts { options, says_sslmode, pool })
}

/// The driver warns of a parameter it does not know, and goes on; a misspelt `sslmode` must not go on.
fn check_driver_parameter(variable: &str, name: &str, value: &str, ours: &[&str]) -> Result<(), SettingError> {
    let wrong = |should_be| Err(SettingError::wrong(variable, value, should_be).in_parameter(name));
    match name {
        "sslmode" | "ssl-mode" if value.parse::<PgSslMode>().is_err() => {
            wrong("disable, allow, prefer, require, verify-ca or verify-full")
        }
        "port" if value.parse::<u16>().is_err() => wrong("a port number"),
        "statement-cache-capacity" if value.parse::<usize>().is_err() => wrong("a whole number"),
        "hostaddr" if value.parse::<IpAddr>().is_err() => wrong("an IP address"),
        _ if DRIVER.contains(&name) || name.starts_with("options[") => Ok(()),
        _ => {
            let known = format!("one of {}, {}", ours.join(", "), DRIVER.join(", "));
            Err(SettingError::hidden(variable, &known).in_parameter(name))
        }
    }
}

fn wrong_url(variable: &str, url: &Url) -> SettingError {
    match without_password(url) {
        Some(shown) => SettingError::wrong(variable, &shown, EXAMPLE),
        None => SettingError::hidden(variable, EXAMPLE),
    }
}

/// `None` where it can't be told for sure what the password is.
fn without_password(url: &Url) -> Option<String> {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    if url.password().is_some() {
        shown.set_password(Some("***")).ok()?;
    }
    (url.has_host() && !url.path().contains('@')).then(|| shown.to_string())
}
