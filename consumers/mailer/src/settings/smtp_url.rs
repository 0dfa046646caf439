//! `SMTP_URL`: where the mail server is, how to log in, and whether TLS is required.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use service::settings::{AppEnv, Env, SettingError};
use url::Url;

/// A mail server, as a URL names it. Its debug form holds no password.
#[derive(Clone)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub(crate) tls: Tls,
    pub(crate) login: Option<(String, SecretString)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// From the first byte: `smtps://`.
    Implicit,
    /// By STARTTLS, or not at all: `?tls=required`.
    Required,
    /// By STARTTLS where the server offers it: `?tls=opportunistic`.
    Opportunistic,
    None,
}

const VARIABLE: &str = "SMTP_URL";
const SHOULD_BE: &str = "an SMTP URL such as smtps://user:password@host or smtp://host:587?tls=required \
                         (tls: required, opportunistic or none)";

impl SmtpServer {
    pub fn from_env(env: &Env, app_env: AppEnv) -> Result<Self, SettingError> {
        let text = env.required(VARIABLE, SHOULD_BE)?;
        // Wherever its password would stand, the URL is wrong; so no part of it is shown.
        let wrong = || SettingError::hidden(VARIABLE, SHOULD_BE);
        let url: Url = text.parse().map_err(|_| wrong())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        let mut tls_parameter = None;
        for (name, value) in url.query_pairs() {
            if name != "tls" {
                return Err(wrong());
            }
            tls_parameter = Some(value.into_owned());
        }
        let (tls, port) = match (url.scheme(), tls_parameter.as_deref()) {
            ("smtps", None) => (Tls::Implicit, 465),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic, 587),
            ("smtp", Some("none")) => (Tls::None, 25),
            ("smtp", None) if app_env == AppEnv::Development => (Tls::None, 25),
            ("smtp", Some("required") | None) => (Tls::Required, 587),
            _ => return Err(wrong()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(wrong());
        }
        let login = login(&url).map_err(|()| wrong())?;
        if login.is_some() && app_env != AppEnv::Development && matches!(tls, Tls::Opportunistic | Tls::None) {
            let should_be = "smtps:// or tls=required where it holds a password, which would travel in clear";
            return Err(SettingError::hidden(VARIABLE, should_be));
        }
        Ok(Self { host, port: url.port().unwrap_or(port), tls, login })
    }
}

/// `Err` where it is half a login, or no text.
fn login(url: &Url) -> Result<Option<(String, SecretString)>, ()> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() => Ok(Some((decoded(user)?, decoded(password)?.into()))),
        _ => Err(()),
    }
}

/// Without its `%`-encoding, in which alone a URL can hold some letters of a password.
fn decoded(text: &str) -> Result<String, ()> {
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(drop)
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, login } = self;
        let user = login.as_ref().map(|(user, _)| user);
        f.debug_struct("SmtpServer")
            .field("server", &format_args!("{host}:{port}"))
            .field("tls", tls)
            .field("user", &user)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(url: &str, app_env: AppEnv) -> Result<SmtpServer, String> {
        SmtpServer::from_env(&Env::of([("SMTP_URL", url)]), app_env).map_err(|error| error.to_string())
    }

    #[test]
    fn tls_is_required_outside_development_unless_the_url_says_otherwise() {
        use AppEnv::{Development, Production, Staging};
        for (url, app_env, tls, port) in [
            ("smtps://mail.example.com", Development, Tls::Implicit, 465),
            ("smtps://mail.example.com:4465", Production, Tls::Implicit, 4465),
            ("smtp://localhost:1025", Development, Tls::None, 1025),
            ("smtp://localhost", Development, Tls::None, 25),
            ("smtp://mail.example.com", Production, Tls::Required, 587),
            ("smtp://mail.example.com:2525/", Staging, Tls::Required, 2525),
            ("smtp://mail.example.com?tls=required", Development, Tls::Required, 587),
            ("smtp://localhost?tls=none", Production, Tls::None, 25),
            ("smtp://localhost?tls=opportunistic", Production, Tls::Opportunistic, 587),
        ] {
            let server = read(url, app_env).unwrap();
            assert_eq!((server.tls, server.port), (tls, port), "{url} in {app_env}");
            assert!(server.login.is_none());
        }
    }

    #[test]
    fn a_login_is_decoded_and_shown_without_its_password() {
        let server = read("smtps://ada%40example.com:hunter2+&%2F%3A%25@mail.example.com", AppEnv::Production).unwrap();
        let (user, password) = server.login.as_ref().unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("ada@example.com", "hunter2+&/:%"));
        assert_eq!(
            format!("{server:?}"),
            "SmtpServer { server: mail.example.com:465, tls: Implicit, user: Some(\"ada@example.com\") }"
        );
    }

    #[test]
    fn a_password_is_never_shown_and_never_sent_in_clear() {
        for url in
            ["smtp://ada:hunter2@mail.example.com?tls=none", "smtp://ada:hunter2@mail.example.com?tls=opportunistic"]
        {
            let error = read(url, AppEnv::Production).unwrap_err();
            assert!(error.contains("would travel in clear") && !error.contains("hunter2"), "{error}");
            assert!(read(url, AppEnv::Development).is_ok());
        }
        for url in [
            "hunter2",
            "mail.example.com",
            "https://ada:hunter2@mail.example.com",
            "smtp:hunter2",
            "smtp://",
            "smtps://:hunter2@mail.example.com",
            "smtps://ada@mail.example.com",
            "smtps://ada:%ff@mail.example.com",
            "smtps://ada:12/hunter2@mail.example.com",
            "smtps://mail.example.com/hunter2",
            "smtps://mail.example.com?tls=none",
            "smtp://mail.example.com?tls=hunter2",
            "smtp://mail.example.com?password=hunter2",
            "smtps://mail.example.com#hunter2",
        ] {
            let error = read(url, AppEnv::Production).unwrap_err();
            assert_eq!(error, format!("SMTP_URL holds a value that is not shown, should be {SHOULD_BE}"), "{url}");
        }
    }
}
