//! The way to the collector.
//!
//! The library's thread that sends spans is no thread of the runtime, which the HTTP client needs. So each request runs
//! on the runtime, and that thread waits for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use tokio::runtime::Handle;
use url::Url;

use crate::ErrorChain;

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
#[error("the system's certificate authorities can't be read")]
pub struct CollectorError(#[from] io::Error);

#[derive(Debug)]
pub(super) struct Collector {
    client: Arc<dyn HttpClient>,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl Collector {
    /// Sends on the runtime that this is called on.
    pub fn at(endpoint: &Url) -> Result<Self, CollectorError> {
        let client: Arc<dyn HttpClient> = if endpoint.scheme() == "https" {
            let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
            Arc::new(HyperClient::new(connector, ANSWERS_WITHIN, None))
        } else {
            Arc::new(HyperClient::with_default_connector(ANSWERS_WITHIN, None))
        };
        Ok(Self { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) })
    }

    /// Says when it begins to fail and when it ends; in between, every few seconds would be too often. Names neither the
    /// endpoint nor what it answered: both may hold what is not for logs.
    fn note(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let error = match sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the answer is {}", response.status())),
            Err(error) => Some(ErrorChain(error.as_ref()).to_string()),
        };
        match (error, self.is_failing.load(Ordering::Relaxed)) {
            (Some(error), false) => {
                self.is_failing.store(true, Ordering::Relaxed);
                tracing::warn!(error, "the collector does not take traces; until it does, they are lost");
            }
            (None, true) => {
                self.is_failing.store(false, Ordering::Relaxed);
                tracing::warn!("the collector takes traces again");
            }
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // The error here is that of a runtime which is gone: the process ends, and the flush has said what there is to say.
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await }).await?;
        self.note(&sent);
        sent
    }
}
