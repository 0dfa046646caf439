//! What a mailer is told by its environment.

pub mod smtp_url;

use std::path::PathBuf;

use lettre::message::Mailbox;
use service::{
    key_files::KeyFolder,
    postgres::PostgresSettings,
    settings::{AppEnv, Env, SettingError, SettingErrors, all},
};
use url::Url;

use crate::{MailFolder, keys::PRIVATE_KEY, links::Links};
use smtp_url::SmtpServer;

#[derive(Debug, Clone)]
pub struct MailerSettings {
    /// `MAILER_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    pub transport: TransportSettings,
    /// `MAIL_FROM`: who writes.
    pub from: Mailbox,
    /// `MAIL_LINK_BASE`: below which links lead.
    pub links: Links,
    /// `MAILER_KEYS_DIR`: the private keys.
    pub keys: KeyFolder,
}

/// `MAIL_TRANSPORT`.
#[derive(Debug, Clone)]
pub enum TransportSettings {
    /// `smtp`: to the server of `SMTP_URL`.
    Smtp(SmtpServer),
    /// `file`: into `MAIL_FOLDER`, in development only.
    Folder(PathBuf),
}

impl MailerSettings {
    /// The variables that tools need one of.
    pub const KEYS_DIR: &str = "MAILER_KEYS_DIR";
    pub const MAIL_FOLDER: &str = "MAIL_FOLDER";

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        // Where this is wrong it is said once, and nothing is said that would follow from it.
        let app_env = AppEnv::from_env(env);
        let by_env = app_env.clone().unwrap_or_default();
        let (_, database, transport, from, links, keys) = all((
            app_env,
            PostgresSettings::from_env(env, "MAILER"),
            transport(env, by_env),
            from(env),
            links(env, by_env),
            Self::keys(env),
        ))?;
        Ok(Self { database, transport, from, links, keys })
    }

    /// `MAILER_KEYS_DIR` alone, for who only looks after the keys.
    pub fn keys(env: &Env) -> Result<KeyFolder, SettingError> {
        let path = env.required(Self::KEYS_DIR, "the path of the folder with the mailer's private keys")?;
        Ok(KeyFolder::new(path, PRIVATE_KEY))
    }

    /// `MAIL_FOLDER` alone, for who only looks into it.
    pub fn mail_folder(env: &Env) -> Result<MailFolder, SettingError> {
        env.required(Self::MAIL_FOLDER, "the path of a folder that mails are written to").map(MailFolder::new)
    }
}

fn transport(env: &Env, app_env: AppEnv) -> Result<TransportSettings, SettingErrors> {
    const NAME: &str = "MAIL_TRANSPORT";
    let is_development = app_env == AppEnv::Development;
    match env.optional(NAME)? {
        Some("smtp") => Ok(TransportSettings::Smtp(SmtpServer::from_env(env, app_env)?)),
        None if !is_development => Ok(TransportSettings::Smtp(SmtpServer::from_env(env, app_env)?)),
        Some("file") if !is_development => {
            let should_be = format!("smtp, for in {app_env} mails have to reach people");
            Err(SettingError::wrong(NAME, "file", &should_be).into())
        }
        Some("file") | None => Ok(TransportSettings::Folder(MailerSettings::mail_folder(env)?.path().to_owned())),
        Some(other) => Err(SettingError::wrong(NAME, other, "smtp or file").into()),
    }
}

fn from(env: &Env) -> Result<Mailbox, SettingError> {
    const NAME: &str = "MAIL_FROM";
    const SHOULD_BE: &str = "an address such as Shop <no-reply@shop.example.com>";
    let text = env.required(NAME, SHOULD_BE)?;
    text.parse().map_err(|_| SettingError::wrong(NAME, text, SHOULD_BE))
}

fn links(env: &Env, app_env: AppEnv) -> Result<Links, SettingError> {
    const NAME: &str = "MAIL_LINK_BASE";
    let should_be = match app_env {
        AppEnv::Development => "the address below which pages are, such as http://localhost:8000",
        // A token in a page that came in clear is anybody's on the way.
        AppEnv::Staging | AppEnv::Production => {
            "the HTTPS address below which pages are, such as https://shop.example.com"
        }
    };
    let text = env.required(NAME, should_be)?;
    let base = text.parse::<Url>().ok().filter(|url| app_env == AppEnv::Development || url.scheme() == "https");
    // It may hold a login, which belongs in no link and in no error.
    base.and_then(Links::below).ok_or_else(|| match text.contains('@') {
        true => SettingError::hidden(NAME, should_be),
        false => SettingError::wrong(NAME, text, should_be),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [(&str, &str); 5] = [
        ("MAILER_DATABASE_URL", "postgresql://ada:hunter2@db/mailer_db"),
        ("MAIL_FOLDER", "/tmp/mails"),
        ("MAIL_FROM", "Shop <no-reply@shop.example.com>"),
        ("MAIL_LINK_BASE", "http://localhost:8000"),
        ("MAILER_KEYS_DIR", "/tmp/keys"),
    ];

    const PRODUCTION: [(&str, &str); 6] = [
        ("APP_ENV", "production"),
        ("MAILER_DATABASE_URL", "postgresql://ada:hunter2@db/mailer_db"),
        ("SMTP_URL", "smtps://ada:hunter2@mail.example.com"),
        ("MAIL_FROM", "no-reply@shop.example.com"),
        ("MAIL_LINK_BASE", "https://shop.example.com"),
        ("MAILER_KEYS_DIR", "/run/keys"),
    ];

    fn read(base: &[(&str, &str)], other: &[(&str, &str)]) -> Result<MailerSettings, String> {
        let env = Env::of(base.iter().chain(other).copied());
        MailerSettings::from_env(&env).map_err(|errors| errors.to_string())
    }

    #[test]
    fn in_development_mails_go_to_a_folder_unless_told_otherwise() {
        let settings = read(&LEAST, &[]).unwrap();
        assert!(matches!(&settings.transport, TransportSettings::Folder(path) if path == "/tmp/mails"));
        assert_eq!(settings.from.name.as_deref(), Some("Shop"));
        let smtp = read(&LEAST, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", "smtp://localhost:1025")]).unwrap();
        assert!(matches!(&smtp.transport, TransportSettings::Smtp(server) if server.port == 1025));
        assert!(!format!("{settings:?} {smtp:?}").contains("hunter2"));
    }

    #[test]
    fn elsewhere_mails_reach_people_over_tls_and_links_are_https() {
        let settings = read(&PRODUCTION, &[]).unwrap();
        assert!(matches!(&settings.transport, TransportSettings::Smtp(server) if server.host == "mail.example.com"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        for app_env in ["staging", "production"] {
            let file = read(&PRODUCTION, &[("APP_ENV", app_env), ("MAIL_TRANSPORT", "file"), ("MAIL_FOLDER", "/tmp")]);
            let told = format!("MAIL_TRANSPORT is `file`, should be smtp, for in {app_env} mails have to reach people");
            assert_eq!(file.unwrap_err(), told);
        }
        let error = read(&PRODUCTION, &[("MAIL_LINK_BASE", "http://shop.example.com")]).unwrap_err();
        assert!(
            error.starts_with("MAIL_LINK_BASE is `http://shop.example.com`, should be the HTTPS address"),
            "{error}"
        );
        let error = read(&PRODUCTION, &[("SMTP_URL", "")]).unwrap_err();
        assert!(error.starts_with("SMTP_URL is not set, should be"), "{error}");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_login_with_it() {
        assert_eq!(
            read(&[], &[("MAIL_FROM", "no-reply"), ("MAIL_LINK_BASE", "https://ada:hunter2@shop.example.com")])
                .unwrap_err(),
            "5 settings are wrong:\n  \
             MAILER_DATABASE_URL is not set, should be a PostgreSQL URL such as \
             postgresql://user:password@host:5432/database (DATABASE_URL serves as well)\n  \
             MAIL_FOLDER is not set, should be the path of a folder that mails are written to\n  \
             MAIL_FROM is `no-reply`, should be an address such as Shop <no-reply@shop.example.com>\n  \
             MAIL_LINK_BASE holds a value that is not shown, should be the address below which pages are, such as \
             http://localhost:8000\n  \
             MAILER_KEYS_DIR is not set, should be the path of the folder with the mailer's private keys"
        );
        let error = read(&LEAST, &[("MAIL_TRANSPORT", "pigeon")]).unwrap_err();
        assert_eq!(error, "MAIL_TRANSPORT is `pigeon`, should be smtp or file");
        let error = read(&LEAST, &[("APP_ENV", "live")]).unwrap_err();
        assert_eq!(error, "APP_ENV is `live`, should be development, staging or production");
    }
}
