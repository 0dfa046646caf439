//! A proxy on loopback before LocalStack. Each request passes whole and is counted, and can be held up on its way; its
//! answer can get lost after LocalStack has done what was asked; connections can be cut, and refused for a while.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request as HttpRequest, Response,
    body::{Bytes, Incoming},
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::plan::Request;

#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Empty while nobody gets a connection.
    accepting: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    faults: Mutex<Faults>,
    traffic: Mutex<BTreeMap<String, Traffic>>,
}

/// The requests of one operation that have passed.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub requests: u64,
    /// When the first of them came.
    pub first: Instant,
    /// When the last of them was answered.
    pub last: Instant,
}

#[derive(Debug)]
struct Faults {
    /// Cancelled when all connections are cut, and replaced for those that come after.
    connections: CancellationToken,
    /// Answers that are still to get lost.
    to_swallow: BTreeMap<Request, u32>,
    swallowed: u32,
    held_up: Option<(Duration, Instant)>,
}

/// What one connection ends with. Nobody reads it: the connection is gone, which is the point.
#[derive(Debug)]
struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was ended on purpose")
    }
}

impl std::error::Error for Ended {}

impl Proxy {
    /// Listens on `port`, 0 for any that is free, and passes everything on to `upstream`, a URL.
    pub async fn start(port: u16, upstream: &str) -> anyhow::Result<Self> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let faults =
            Faults { connections: CancellationToken::new(), to_swallow: BTreeMap::new(), swallowed: 0, held_up: None };
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: reqwest::Client::builder().no_proxy().build()?,
            faults: Mutex::new(faults),
            traffic: Mutex::default(),
        });
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting: tokio::sync::Mutex::new(Some(accepting)) })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections, whatever is on its way in them.
    pub fn cut(&self) {
        std::mem::take(&mut self.shared.faults().connections).cancel();
    }

    /// Ends all connections, and refuses new ones for a while.
    pub async fn refuse(&self, during: Duration) -> anyhow::Result<()> {
        let mut accepting = self.accepting.lock().await;
        if let Some(task) = accepting.take() {
            task.abort();
            // It is over when it was aborted: the port is nobody's from here on.
            let _ = task.await;
        }
        self.cut();
        tokio::time::sleep(during).await;
        let listener = listen(self.address).await?;
        *accepting = Some(tokio::spawn(accept(listener, self.shared.clone())));
        Ok(())
    }

    /// Loses the answers to the next requests of this kind. Answers to polls count only where they hold a message.
    pub fn swallow(&self, request: Request, count: u32) {
        *self.shared.faults().to_swallow.entry(request).or_default() += count;
    }

    /// Holds up each request from now on, for a while.
    pub fn hold_up(&self, each: Duration, during: Duration) {
        self.shared.faults().held_up = Some((each, Instant::now() + during));
    }

    /// What has passed so far, by operation. Requests that got no answer are not in it.
    pub fn traffic(&self) -> BTreeMap<String, Traffic> {
        self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many answers got lost.
    pub fn swallowed(&self) -> u32 {
        self.shared.faults().swallowed
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.get_mut() {
            task.abort();
        }
        self.cut();
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_up(&self) -> Option<Duration> {
        let held_up = self.faults().held_up;
        held_up.filter(|(_, until)| Instant::now() < *until).map(|(each, _)| each)
    }

    /// Whether this answer is one that is to get lost; then there is one fewer.
    fn swallows(&self, request: Option<Request>, answer: &[u8]) -> bool {
        let Some(request) = request else { return false };
        let is_empty = request == Request::Receive && !contains(answer, b"ReceiptHandle");
        let mut faults = self.faults();
        match faults.to_swallow.get_mut(&request) {
            Some(left) if *left > 0 && !is_empty => *left -= 1,
            _ => return false,
        }
        faults.swallowed += 1;
        true
    }

    fn count(&self, operation: String, came: Instant) {
        let now = Instant::now();
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = traffic.entry(operation).or_insert(Traffic { requests: 0, first: came, last: now });
        passed.requests += 1;
        passed.first = passed.first.min(came);
        passed.last = now;
    }

    async fn pass(&self, request: HttpRequest<Incoming>) -> Result<Response<Full<Bytes>>, Ended> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Ended)?.to_bytes();
        let came = Instant::now();
        let operation = operation(&head.headers, &body);
        let kind = Request::ALL.into_iter().find(|request| operation.as_deref() == Some(request.operation()));
        if let Some(each) = self.held_up() {
            tokio::time::sleep(each).await;
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let forwarded = self.client.request(head.method, format!("{}{path}", self.upstream));
        let forwarded = forwarded.headers(end_to_end(head.headers)).body(body).send().await.map_err(|_| Ended)?;
        let (status, headers) = (forwarded.status(), end_to_end(forwarded.headers().clone()));
        let answer = forwarded.bytes().await.map_err(|_| Ended)?;
        if let Some(operation) = operation {
            self.count(operation, came);
        }
        if self.swallows(kind, &answer) {
            return Err(Ended);
        }
        let mut response = Response::new(Full::new(answer));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("could not listen on {address}"))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connections = shared.faults().connections.clone();
                let connection = serve(stream, shared.clone());
                tokio::spawn(async move { connections.run_until_cancelled(connection).await });
            }
            // The client's doing, or no file descriptors: the connection stays in the queue, so looking at once would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| shared.pass(request));
    // However it ends, the client finds out.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Without what is said of one connection only.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// SQS is spoken to in JSON, with the operation in a header; SNS in forms.
fn operation(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(target) = headers.get("x-amz-target") {
        return Some(target.to_str().ok()?.rsplit('.').next()?.to_owned());
    }
    let form = url::form_urlencoded::parse(body);
    form.into_iter().find(|(name, _)| name == "Action").map(|(_, action)| action.into_owned())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
