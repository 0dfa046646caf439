//! Which bus, from the environment.

use std::{sync::Arc, time::Duration};

use messaging::{AwsBus, AwsSettings, MockPublisher, Names, Publisher};
use service::settings::{Env, SettingError, SettingErrors, all};
use url::Url;

/// The settings of the bus, the same for every process.
#[derive(Debug, Clone)]
pub struct BusSettings {
    publisher: PublisherType,
    aws: AwsSettings,
    pub patience: Duration,
}

/// `EVENT_PUBLISHER_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PublisherType {
    Sns,
    /// Accepts and records, delivers nowhere.
    Mock,
}

impl BusSettings {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (publisher, endpoint, region, names, patience) =
            all((publisher_type(env), endpoint(env), env.optional("AWS_REGION"), names(env), patience(env)))?;
        let region = region.map(str::to_owned);
        Ok(Self { publisher, aws: AwsSettings { endpoint, region, names }, patience })
    }

    /// SNS and SQS, answering.
    pub async fn connect(&self) -> anyhow::Result<AwsBus> {
        let bus = AwsBus::new(self.aws.clone()).await;
        bus.wait_until_ready(self.patience).await?;
        Ok(bus)
    }

    pub async fn publisher(&self) -> anyhow::Result<Arc<dyn Publisher>> {
        Ok(match self.publisher {
            PublisherType::Sns => Arc::new(self.connect().await?.publisher()),
            PublisherType::Mock => Arc::new(MockPublisher::default()),
        })
    }
}

/// `STARTUP_PATIENCE_SECONDS`: how long a process waits for what it needs to be there.
pub fn patience(env: &Env) -> Result<Duration, SettingError> {
    env.seconds_or("STARTUP_PATIENCE_SECONDS", Duration::from_secs(30), 1..=3_600)
}

fn publisher_type(env: &Env) -> Result<PublisherType, SettingError> {
    match env.optional("EVENT_PUBLISHER_TYPE")? {
        None | Some("sns") => Ok(PublisherType::Sns),
        Some("mock") => Ok(PublisherType::Mock),
        Some(other) => Err(SettingError::wrong("EVENT_PUBLISHER_TYPE", other, "sns or mock")),
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

/// `WAYPOST_NAME_PREFIX`: keeps installations in one account apart.
fn names(env: &Env) -> Result<Names, SettingError> {
    const NAME: &str = "WAYPOST_NAME_PREFIX";
    let prefix = env.optional(NAME)?.unwrap_or_default();
    let fits = prefix.len() <= 30 && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits {
        Ok(Names::with_prefix(prefix))
    } else {
        Err(SettingError::wrong(NAME, prefix, "at most 30 letters, digits, hyphens and underscores"))
    }
}
