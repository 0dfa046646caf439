//! Clients, with separate connection pools for what waits and for what must not.
//!
//! A long poll holds its connection for up to twenty seconds. Were deletes and visibility changes to share a pool with
//! polls, finished work would queue behind idle waiting, run out of its lease and be done again.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::config::{
    Credentials, ProvideCredentials, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

use super::{calls::MeasureCalls, queue::SqsQueue, resources::Place, sns::SnsPublisher};
use crate::{
    Bus, BusError, ConnectError, ConsumerFacts, Difference, Extra, MoveProgress, MoveTask, Names, Permission, Prune,
    Publisher, Queue, Subscriber, Topology, TopologyError, bus::until_it_answers,
};

/// Where the bus is.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    /// LocalStack's endpoint; `None` is AWS, with the SDK's own credential chain.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Whose topics they are, where that is known: publishing then never lists topics to find one.
    pub account: Option<String>,
    pub names: Names,
    /// Queues whose URL is known already (`SQS_QUEUE_URL`), by name; the others are looked up.
    pub queue_urls: BTreeMap<String, String>,
}

/// Clients for SNS and SQS.
#[derive(Debug, Clone)]
pub struct AwsBus {
    pub(super) sns: aws_sdk_sns::Client,
    /// For long polls only.
    polling: aws_sdk_sqs::Client,
    /// For everything that has to be answered soon.
    pub(super) settling: aws_sdk_sqs::Client,
    /// For the question whether anybody is there. It carries no credentials, and so needs no permission.
    knocking: aws_sdk_sqs::Client,
    credentials: Option<SharedCredentialsProvider>,
    pub(super) names: Names,
    place: Option<Place>,
    pub(super) queue_urls: BTreeMap<String, String>,
    endpoint: String,
}

const DEFAULT_REGION: &str = "us-east-1";
const LONGEST_POLL: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_secs(5);

impl AwsBus {
    /// Makes the clients. Sends nothing yet.
    pub async fn new(settings: AwsSettings) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            // Its minimum throughput takes a quiet long poll for a stalled one.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        // With LocalStack nothing is looked up: the SDK would ask the instance's metadata service, which isn't there.
        let local = settings.endpoint.as_ref().map(|_| DEFAULT_REGION.to_owned());
        if let Some(region) = settings.region.or(local) {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = &settings.endpoint {
            let credentials = Credentials::new("test", "test", None, None, "localstack");
            loader = loader.endpoint_url(endpoint).credentials_provider(credentials);
        }
        let config = loader.load().await;
        let mut nobody = config.to_builder();
        nobody.set_credentials_provider(None);
        let nobody = nobody.build();
        Self {
            sns: aws_sdk_sns::Client::from_conf(
                aws_sdk_sns::config::Builder::from(&config)
                    .http_client(http_client())
                    .timeout_config(timeouts(SETTLE * 2))
                    .interceptor(MeasureCalls)
                    .build(),
            ),
            polling: sqs(&config, LONGEST_POLL + SETTLE),
            settling: sqs(&config, SETTLE),
            knocking: aws_sdk_sqs::Client::from_conf(sqs_config(&nobody, SETTLE).allow_no_auth().build()),
            credentials: config.credentials_provider(),
            place: config
                .region()
                .zip(settings.account)
                .map(|(region, account)| Place::in_region(Some(region.as_ref()), Some(&account))),
            names: settings.names,
            queue_urls: settings.queue_urls,
            endpoint: settings.endpoint.as_deref().map_or_else(|| "AWS".to_owned(), without_login),
        }
    }

    /// As it was given, or as SQS knows it.
    pub(super) async fn url_of(&self, name: &str) -> Result<String, BusError> {
        if let Some(url) = self.queue_urls.get(name) {
            return Ok(url.clone());
        }
        let found = self.settling.get_queue_url().queue_name(name).send().await;
        let found = found.map_err(|error| BusError::new("GetQueueUrl", name, error))?;
        found.queue_url.ok_or_else(|| BusError::new("GetQueueUrl", name, "the answer holds no URL"))
    }

    /// Asks SQS for something that needs no queue to exist. A refusal is an answer too, and AWS refuses whoever doesn't
    /// say who they are. Credentials that are missing would be found out later than they should.
    async fn ping(&self) -> Result<(), BusError> {
        if let Some(credentials) = &self.credentials {
            let found = credentials.provide_credentials().await;
            found.map_err(|error| BusError::new("finding credentials", &self.endpoint, error))?;
        }
        match self.knocking.list_queues().max_results(1).send().await {
            Err(error) if error.as_service_error().is_none() => Err(BusError::new("ListQueues", &self.endpoint, error)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Bus for AwsBus {
    fn names(&self) -> &Names {
        &self.names
    }

    async fn wait_until_ready(&self, patience: Duration) -> Result<(), ConnectError> {
        until_it_answers(&format!("SNS and SQS at {}", self.endpoint), patience, || self.ping()).await
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(SnsPublisher::new(self.sns.clone(), self.names.clone(), self.place.clone()))
    }

    async fn queue(&self, name: &str) -> Result<Arc<dyn Queue>, BusError> {
        let url = self.url_of(name).await?;
        Ok(Arc::new(SqsQueue::new(name.to_owned(), url, self.polling.clone(), self.settling.clone())))
    }

    async fn inspect(&self, consumer: &str) -> Result<ConsumerFacts, BusError> {
        self.inspect_consumer(consumer).await
    }

    async fn try_permissions(&self, consumer: &str) -> Result<Vec<Permission>, BusError> {
        self.try_permissions_of(consumer).await
    }

    async fn start_move(&self, from: &str, to: &str, per_second: Option<NonZeroU32>) -> Result<MoveTask, BusError> {
        self.start_move_task(from, to, per_second).await
    }

    async fn cancel_move(&self, task: &MoveTask) -> Result<(), BusError> {
        self.cancel_move_task(task).await
    }

    async fn move_progress(&self, from: &str) -> Result<Option<MoveProgress>, BusError> {
        self.move_task_progress(from).await
    }

    async fn apply(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        self.apply_topology(topology).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        self.verify_topology(topology).await
    }

    async fn extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        self.find_extras(topology, prune).await
    }

    async fn prune(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        self.prune_extras(topology, prune).await
    }

    async fn remove(&self, topology: &Topology) -> Result<(), TopologyError> {
        self.remove_topology(topology).await
    }

    async fn remove_subscriber(&self, subscriber: &Subscriber) -> Result<(), TopologyError> {
        self.remove_consumer(subscriber).await
    }
}

fn sqs(config: &SdkConfig, timeout: Duration) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::from_conf(sqs_config(config, timeout).build())
}

fn sqs_config(config: &SdkConfig, timeout: Duration) -> aws_sdk_sqs::config::Builder {
    aws_sdk_sqs::config::Builder::from(config)
        .http_client(http_client())
        .timeout_config(timeouts(timeout))
        .interceptor(MeasureCalls)
}

fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt).build()
}

/// For logs and errors.
fn without_login(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_without_the_login_in_it() {
        assert_eq!(without_login("http://ada:hunter2@127.0.0.1:4566/x@y"), "http://127.0.0.1:4566/x@y");
        assert_eq!(without_login("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
    }
}
