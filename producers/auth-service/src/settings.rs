use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use sealing::SealingKey;
use secrecy::SecretString;
use service::{
    access_token::Parties,
    cache::user_cache_life,
    http::{HttpSettings, ListenSetting},
    key_files::KeyFolder,
    postgres::PostgresSettings,
    rate_limit::RateLimits,
    redis::RedisSettings,
    settings::{AppEnv, Env, SettingError, SettingErrors, all},
};

use crate::{
    HashLimits, MailerKeySource, PasswordPolicy, Pseudonyms, SigningKeySource, VerificationRule,
    mail_requests::PUBLIC_KEY_EXTENSION, retention::Retention, signing::KEY_EXTENSION,
};

#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `AUTH_LISTEN`; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `AUTH_ADMIN_LISTEN`: health and metrics, which are for the inside.
    pub admin_listen: SocketAddr,
    /// `AUTH_DATABASE_URL`, or `DATABASE_URL`.
    pub database: PostgresSettings,
    pub hashing: HashLimits,
    pub http: HttpSettings,
    pub policy: PasswordPolicy,
    pub verification: VerificationRule,
    pub retention: Retention,
    /// `AUTH_ISSUER`: what access tokens say of who signed them.
    pub issuer: String,
    /// `AUTH_AUDIENCE`: whom they are for.
    pub audience: String,
    pub keys: AuthKeys,
    /// `AUTH_REDIS_URL`, or `REDIS_URL`.
    pub redis: Option<RedisSettings>,
    pub limits: RateLimits,
    /// How long data of users is kept in Redis.
    pub cache_life: Duration,
}

/// Where the service's keys are.
#[derive(Debug, Clone)]
pub struct AuthKeys {
    pub signing: SigningKeySource,
    pub pseudonyms: PseudonymKey,
    pub mailer: MailerKeySource,
}

/// The key that pseudonyms of addresses are made with.
#[derive(Debug, Clone)]
pub enum PseudonymKey {
    Fixed(Pseudonyms),
    /// The oldest file of a folder, so that one that is added changes nothing.
    Folder {
        folder: KeyFolder,
        makes_first: bool,
    },
}

/// Why the key for pseudonyms can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymKeyError {
    #[error("there is no key for pseudonyms in {0}, nor in AUTH_PSEUDONYM_KEY: `waypost keys auth rotate` makes one")]
    None(String),
    #[error("the folder of the key for pseudonyms can't be used")]
    Folder(#[from] service::key_files::KeyFolderError),
    #[error("{file} holds something that is not shown")]
    Key { file: String, source: crate::UnfitPseudonymKey },
    #[error("no key for pseudonyms could be made")]
    Make(#[from] crate::secret_token::NoRandomBytes),
}

impl PseudonymKey {
    /// Reads it; where there is none and it may be made here, makes it.
    pub fn open(&self, now: time::OffsetDateTime) -> Result<Pseudonyms, PseudonymKeyError> {
        let (folder, makes_first) = match self {
            Self::Fixed(pseudonyms) => return Ok(pseudonyms.clone()),
            Self::Folder { folder, makes_first } => (folder, *makes_first),
        };
        if makes_first && folder.read()?.is_empty() {
            match folder.write_new(now, &Pseudonyms::generate()?) {
                Ok(_) | Err(service::key_files::KeyFolderError::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let oldest = folder.read()?.into_iter().next();
        let oldest = oldest.ok_or_else(|| PseudonymKeyError::None(folder.path().display().to_string()))?;
        Pseudonyms::parse(&oldest.contents)
            .map_err(|source| PseudonymKeyError::Key { file: oldest.path.display().to_string(), source })
    }
}

impl AuthSettings {
    pub const LISTEN: ListenSetting = ListenSetting::new("AUTH_LISTEN", 3001);
    /// Of health and metrics.
    pub const ADMIN_LISTEN: ListenSetting = ListenSetting::new("AUTH_ADMIN_LISTEN", 9100);

    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let places = all((Self::LISTEN.read(env), Self::ADMIN_LISTEN.read(env), HttpSettings::of_api(env)));
        let rules = all((PasswordPolicy::from_env(env), verification(env), HashLimits::from_env(env), retention(env)));
        let tokens = all((Parties::from_env(env), AuthKeys::from_env(env)));
        let shared = all((RedisSettings::from_env(env, "AUTH"), RateLimits::from_env(env), user_cache_life(env)));
        let database = PostgresSettings::from_env(env, "AUTH");
        let (places, rules, tokens, shared, database) = all((places, rules, tokens, shared, database))?;
        let (listen, admin_listen, http) = places;
        let (policy, verification, hashing, retention) = rules;
        let (Parties { issuer, audience }, keys) = tokens;
        let (redis, limits, cache_life) = shared;
        Ok(Self {
            listen,
            admin_listen,
            database,
            hashing,
            http,
            policy,
            verification,
            retention,
            issuer,
            audience,
            keys,
            redis,
            limits,
            cache_life,
        })
    }
}

impl AuthKeys {
    /// The folder of signing keys alone, for who rotates them: below `AUTH_KEYS_DIR`.
    pub fn signing_folder(env: &Env) -> Result<KeyFolder, SettingError> {
        keys_folder(env).map(signing_keys_in)
    }

    /// The folder of the key for pseudonyms, likewise.
    pub fn pseudonyms_folder(env: &Env) -> Result<KeyFolder, SettingError> {
        keys_folder(env).map(pseudonym_key_in)
    }

    /// `AUTH_KEYS_DIR`, or `AUTH_SIGNING_KEYS` and `AUTH_PSEUDONYM_KEY`; and `MAILER_PUBLIC_KEYS_DIR`, or `MAILER_PUBLIC_KEY`.
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let folder = env.optional("AUTH_KEYS_DIR").map(|path| path.map(PathBuf::from));
        let (app_env, folder) = all((AppEnv::from_env(env), folder))?;
        let (signing, pseudonyms, mailer) =
            all((signing(env, folder.as_ref(), app_env), pseudonyms(env, folder.as_ref(), app_env), mailer_key(env)))?;
        Ok(Self { signing, pseudonyms, mailer })
    }
}

fn keys_folder(env: &Env) -> Result<&Path, SettingError> {
    env.required("AUTH_KEYS_DIR", "the path of the folder with the keys of auth-service").map(Path::new)
}

fn pseudonym_key_in(folder: &Path) -> KeyFolder {
    KeyFolder::new(folder.join("pseudonyms"), "key")
}

fn signing_keys_in(folder: &Path) -> KeyFolder {
    KeyFolder::new(folder.join("signing"), KEY_EXTENSION)
}

fn signing(env: &Env, folder: Option<&PathBuf>, app_env: AppEnv) -> Result<SigningKeySource, SettingError> {
    const NAME: &str = "AUTH_SIGNING_KEYS";
    let should_be =
        "keys such as 20261126T061500Z=MC4CAQAw… (PKCS#8 in base64), joined by commas; or set AUTH_KEYS_DIR, a folder";
    match (env.optional(NAME)?, folder) {
        (Some(text), _) => {
            SigningKeySource::from_text(&SecretString::from(text)).ok_or_else(|| SettingError::hidden(NAME, should_be))
        }
        (None, Some(folder)) => Ok(SigningKeySource::Folder {
            folder: signing_keys_in(folder),
            makes_first: app_env == AppEnv::Development,
            rotates: env.parsed_or("AUTH_ROTATES_KEYS", app_env == AppEnv::Development, "true or false")?,
        }),
        (None, None) => Err(SettingError::unset(NAME, should_be)),
    }
}

fn pseudonyms(env: &Env, folder: Option<&PathBuf>, app_env: AppEnv) -> Result<PseudonymKey, SettingError> {
    const NAME: &str = "AUTH_PSEUDONYM_KEY";
    let should_be = "at least 32 random bytes in base64; or set AUTH_KEYS_DIR, a folder";
    match (env.optional(NAME)?, folder) {
        (Some(text), _) => {
            let pseudonyms = Pseudonyms::parse(&SecretString::from(text));
            pseudonyms.map(PseudonymKey::Fixed).map_err(|_| SettingError::hidden(NAME, should_be))
        }
        (None, Some(folder)) => {
            Ok(PseudonymKey::Folder { folder: pseudonym_key_in(folder), makes_first: app_env == AppEnv::Development })
        }
        (None, None) => Err(SettingError::unset(NAME, should_be)),
    }
}

fn mailer_key(env: &Env) -> Result<MailerKeySource, SettingError> {
    const NAME: &str = "MAILER_PUBLIC_KEY";
    let should_be =
        "the mailer's public key, as `waypost keys mailer rotate` writes it; or set MAILER_PUBLIC_KEYS_DIR, a folder";
    match (env.optional(NAME)?, env.optional("MAILER_PUBLIC_KEYS_DIR")?) {
        (Some(text), _) => {
            let key = SealingKey::parse(text);
            key.map(MailerKeySource::Fixed).map_err(|_| SettingError::wrong(NAME, text, should_be))
        }
        (None, Some(folder)) => Ok(MailerKeySource::Folder(KeyFolder::new(folder, PUBLIC_KEY_EXTENSION))),
        (None, None) => Err(SettingError::unset(NAME, should_be)),
    }
}

fn verification(env: &Env) -> Result<VerificationRule, SettingError> {
    const NAME: &str = "EMAIL_VERIFICATION";
    match env.optional(NAME)? {
        None | Some("required") => Ok(VerificationRule::Required),
        Some("optional") => Ok(VerificationRule::Optional),
        Some(other) => Err(SettingError::wrong(NAME, other, "required or optional")),
    }
}

/// `AUTH_AUDIT_KEEP_DAYS` (400). The database lets nothing go that is younger than 30 days.
fn retention(env: &Env) -> Result<Retention, SettingError> {
    let default = Retention::default();
    let days = env.number_or("AUTH_AUDIT_KEEP_DAYS", default.audit.whole_days(), 31..=3_650)?;
    Ok(Retention { audit: time::Duration::days(days) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [(&str, &str); 3] = [
        ("AUTH_DATABASE_URL", "postgresql://ada:hunter2@db/auth_db"),
        ("AUTH_KEYS_DIR", "/var/lib/waypost/auth"),
        ("MAILER_PUBLIC_KEYS_DIR", "/var/lib/waypost/mailer"),
    ];

    #[test]
    fn a_database_and_two_folders_are_all_that_has_to_be_said_in_development() {
        let settings = AuthSettings::from_env(&Env::of(SET)).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3001");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9100");
        assert_eq!((settings.issuer.as_str(), settings.audience.as_str()), ("http://127.0.0.1:3001", "waypost"));
        assert_eq!((settings.hashing.queue, settings.verification), (64, VerificationRule::Required));
        let SigningKeySource::Folder { folder, makes_first, rotates } = &settings.keys.signing else { panic!() };
        assert_eq!(
            (folder.path().to_str().unwrap(), makes_first, rotates),
            ("/var/lib/waypost/auth/signing", &true, &true)
        );
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn in_production_no_key_is_made_here_and_the_issuer_has_to_be_said() {
        let production = SET.into_iter().chain([("APP_ENV", "production")]);
        let error = AuthSettings::from_env(&Env::of(production.clone())).unwrap_err().to_string();
        assert!(error.starts_with("AUTH_ISSUER is not set"), "{error}");
        let named = production.chain([("AUTH_ISSUER", "https://auth.example.com")]);
        let settings = AuthSettings::from_env(&Env::of(named)).unwrap();
        let SigningKeySource::Folder { makes_first, rotates, .. } = settings.keys.signing else { panic!() };
        assert!(!makes_first && !rotates);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_key_is_shown() {
        let env = Env::of([
            ("AUTH_LISTEN", "3001"),
            ("AUTH_HASH_QUEUE", "-1"),
            ("EMAIL_VERIFICATION", "no"),
            ("AUTH_SIGNING_KEYS", "hunter2"),
            ("AUTH_PSEUDONYM_KEY", "hunter2"),
            ("MAILER_PUBLIC_KEY", "x"),
            ("AUTH_ISSUER", "auth.example.com"),
        ]);
        let error = AuthSettings::from_env(&env).unwrap_err();
        assert_eq!(error.iter().count(), 8, "{error}");
        let text = error.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        for start in [
            "AUTH_LISTEN is `3001`, should be an address and a port",
            "AUTH_HASH_QUEUE is `-1`, should be a whole number from 0 to 10000",
            "EMAIL_VERIFICATION is `no`, should be required or optional",
            "AUTH_SIGNING_KEYS holds a value that is not shown, should be keys such as",
            "AUTH_PSEUDONYM_KEY holds a value that is not shown, should be at least 32 random bytes",
            "MAILER_PUBLIC_KEY is `x`, should be the mailer's public key",
            "AUTH_ISSUER is `auth.example.com`, should be the URL",
            "AUTH_DATABASE_URL is not set",
        ] {
            assert!(text.contains(start), "{start}: {text}");
        }
    }
}
