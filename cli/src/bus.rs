//! Which bus, from the environment.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use messaging::{AwsBus, AwsSettings, Bus, MockPublisher, Names, PostgresBus, Publisher};
use outbox::BusLabels;
use service::{
    postgres::PostgresSettings,
    settings::{AppEnv, Env, SettingError, SettingErrors, all},
};
use url::Url;

use crate::remedy::Remedies;

/// The settings of the bus, the same for every process.
#[derive(Debug, Clone)]
pub struct BusSettings {
    kind: BusKind,
    names: Names,
    pub patience: Duration,
}

/// What each kind needs to know.
#[derive(Debug, Clone)]
enum BusKind {
    Sns(AwsSettings),
    Postgres(Box<PostgresSettings>),
    /// Accepts and records, delivers nowhere.
    Mock,
}

impl BusSettings {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (kind, names, patience) = all((kind(env), names(env), patience(env)))?;
        Ok(Self { kind, names, patience })
    }

    /// Reads this consumer's queue at a URL that a variable names, instead of looking it up.
    pub fn with_queue_url(mut self, consumer: &str, named: Option<(String, &str)>) -> Result<Self, SettingError> {
        match (&mut self.kind, named) {
            (BusKind::Sns(aws), Some((_, url))) => {
                aws.queue_urls.insert(self.names.queue(consumer), url.to_owned());
            }
            (_, Some((variable, url))) => {
                let should_be = "unset, since EVENT_PUBLISHER_TYPE is not sns";
                return Err(SettingError::wrong(&variable, url, should_be));
            }
            (_, None) => {}
        }
        Ok(self)
    }

    /// The bus, answering.
    pub async fn connect(&self) -> anyhow::Result<Arc<dyn Bus>> {
        let bus: Arc<dyn Bus> = match &self.kind {
            BusKind::Sns(aws) => Arc::new(AwsBus::new(AwsSettings { names: self.names.clone(), ..aws.clone() }).await),
            BusKind::Postgres(database) => {
                database.wait_until_ready(self.patience).await?;
                Arc::new(PostgresBus::new(database.connect_lazy("waypost-bus"), self.names.clone()))
            }
            BusKind::Mock => bail!("EVENT_PUBLISHER_TYPE is `mock`, which delivers nowhere: there are no queues"),
        };
        bus.wait_until_ready(self.patience).await?;
        Ok(bus)
    }

    pub async fn publisher(&self) -> anyhow::Result<Arc<dyn Publisher>> {
        match self.kind {
            BusKind::Mock => Ok(Arc::new(MockPublisher::default())),
            _ => Ok(self.connect().await?.publisher()),
        }
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What traces and metrics call it.
    pub fn labels(&self) -> BusLabels {
        let system = match self.kind {
            BusKind::Sns(_) => "aws.sns",
            BusKind::Postgres(_) => "pgmq",
            BusKind::Mock => "mock",
        };
        BusLabels { system, names: self.names.clone() }
    }

    /// What commands have to name to reach this bus.
    pub fn remedies(&self) -> Remedies {
        match &self.kind {
            BusKind::Sns(aws) => Remedies { endpoint: aws.endpoint.clone() },
            BusKind::Postgres(_) | BusKind::Mock => Remedies::default(),
        }
    }

    /// What to do first where this bus does not answer.
    pub fn knock(&self) -> String {
        match &self.kind {
            BusKind::Sns(_) => self.remedies().knock(),
            BusKind::Postgres(_) => "waypost migrate --database bus".to_owned(),
            BusKind::Mock => format!("export {PUBLISHER_TYPE}=sns"),
        }
    }

    /// `bus_db`, where it is in use.
    pub fn database(&self) -> Option<&PostgresSettings> {
        match &self.kind {
            BusKind::Postgres(database) => Some(database),
            BusKind::Sns(_) | BusKind::Mock => None,
        }
    }

    /// Whether `bus_db` is in use.
    pub fn is_embedded(&self) -> bool {
        self.database().is_some()
    }
}

pub const SQS_QUEUE_URL: &str = "SQS_QUEUE_URL";
const PUBLISHER_TYPE: &str = "EVENT_PUBLISHER_TYPE";

/// `STARTUP_PATIENCE_SECONDS`: how long a process waits for what it needs to be there.
pub fn patience(env: &Env) -> Result<Duration, SettingError> {
    env.seconds_or("STARTUP_PATIENCE_SECONDS", Duration::from_secs(30), 1..=3_600)
}

/// `BUS_DATABASE_URL`. `DATABASE_URL` does not stand in for it: that is a service's own database.
pub fn bus_database(env: &Env) -> Result<PostgresSettings, SettingErrors> {
    const NAME: &str = "BUS_DATABASE_URL";
    let should_be = "the PostgreSQL URL of the bus, such as postgresql://user:password@host:5432/bus_db";
    let (app_env, url) = all((AppEnv::from_env(env), env.required(NAME, should_be)))?;
    PostgresSettings::from_url(NAME, url, app_env)
}

/// Asks for the variables of every kind, whichever is chosen: `waypost settings` tells them all.
fn kind(env: &Env) -> Result<BusKind, SettingErrors> {
    let database = bus_database(env);
    let (chosen, endpoint, region, account) = all((publisher_type(env), endpoint(env), region(env), account(env)))?;
    Ok(match chosen {
        PublisherType::Sns => {
            let [region, account] = [region, account].map(|value| value.map(str::to_owned));
            BusKind::Sns(AwsSettings { endpoint, region, account, ..AwsSettings::default() })
        }
        PublisherType::Postgres => BusKind::Postgres(Box::new(database?)),
        PublisherType::Mock => BusKind::Mock,
    })
}

/// `AWS_REGION`: where it is unset, the SDK has its own ways to find it.
pub fn region(env: &Env) -> Result<Option<&str>, SettingError> {
    env.optional("AWS_REGION")
}

/// `AWS_ACCOUNT_ID`: with it a topic's ARN is known, and publishing needs no permission to list topics.
pub fn account(env: &Env) -> Result<Option<&str>, SettingError> {
    const NAME: &str = "AWS_ACCOUNT_ID";
    match env.optional(NAME)? {
        Some(account) if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) => {
            Err(SettingError::wrong(NAME, account, "the twelve digits of an AWS account, or unset"))
        }
        account => Ok(account),
    }
}

enum PublisherType {
    Sns,
    Postgres,
    Mock,
}

fn publisher_type(env: &Env) -> Result<PublisherType, SettingError> {
    match env.optional(PUBLISHER_TYPE)? {
        None | Some("sns") => Ok(PublisherType::Sns),
        Some("postgres") => Ok(PublisherType::Postgres),
        Some("mock") => Ok(PublisherType::Mock),
        Some(other) => Err(SettingError::wrong(PUBLISHER_TYPE, other, "sns, postgres or mock")),
    }
}

/// `LOCALSTACK_ENDPOINT`: LocalStack where it is set, AWS where it isn't.
fn endpoint(env: &Env) -> Result<Option<String>, SettingError> {
    const NAME: &str = "LOCALSTACK_ENDPOINT";
    let Some(text) = env.optional(NAME)? else { return Ok(None) };
    let is_http = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_http {
        Ok(Some(text.to_owned()))
    } else {
        Err(SettingError::wrong(NAME, text, "a URL such as http://127.0.0.1:4566, or unset for AWS"))
    }
}

/// `WAYPOST_NAME_PREFIX`: keeps installations in one account, or in one database, apart. Lower case: PGMQ knows no other.
pub fn names(env: &Env) -> Result<Names, SettingError> {
    const NAME: &str = "WAYPOST_NAME_PREFIX";
    let prefix = env.optional(NAME)?.unwrap_or_default();
    let is_accepted = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if prefix.len() <= 30 && prefix.bytes().all(is_accepted) && !prefix.contains("--") {
        Ok(Names::with_prefix(prefix))
    } else {
        Err(SettingError::wrong(NAME, prefix, "at most 30 lower-case letters, digits, single hyphens and underscores"))
    }
}
