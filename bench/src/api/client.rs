//! Who asks: as many connections as there are clients, each kept alive, each with one request at a time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::window::Window;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub token: Option<String>,
    /// JSON, where it is not empty.
    pub body: Bytes,
    /// Any other answer ends the run: an error is answered fast.
    pub expected: StatusCode,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    pub retry_after: Option<Duration>,
}

/// The next request, from what the last answer held.
type Next = dyn FnMut(&[u8]) -> anyhow::Result<Ask> + Send;

/// What one client asks, one request after the other: the next may follow from the last answer.
pub struct Script {
    next: Box<Next>,
    last: Bytes,
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    client: u8,
    asked: u16,
}

pub const CLIENTS: usize = 8;

impl Ask {
    pub fn get(path: &str) -> Self {
        let (method, expected) = (Method::GET, StatusCode::OK);
        Self { method, path: path.to_owned(), token: None, body: Bytes::new(), expected }
    }

    pub fn post(path: &str, body: impl Into<Bytes>, expected: StatusCode) -> Self {
        Self { method: Method::POST, path: path.to_owned(), token: None, body: body.into(), expected }
    }

    #[must_use]
    pub fn by(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }
}

impl Script {
    pub fn new(next: impl FnMut(&[u8]) -> anyhow::Result<Ask> + Send + 'static) -> Self {
        Self { next: Box::new(next), last: Bytes::new() }
    }

    /// The same again and again.
    pub fn same(ask: Ask) -> Self {
        Self::new(move |_| Ok(ask.clone()))
    }

    pub async fn step(&mut self, connection: &mut Connection) -> anyhow::Result<Answer> {
        let ask = (self.next)(&self.last)?;
        let answer = connection.expect(&ask).await?;
        self.last = answer.body.clone();
        Ok(answer)
    }
}

impl Connection {
    /// `client` is part of the address that it says it comes from.
    pub async fn open(server: SocketAddr, client: u8) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("nobody listens on {server}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is told by the next request.
        tokio::spawn(connection);
        Ok(Self { sender, client, asked: 0 })
    }

    pub async fn ask(&mut self, ask: &Ask) -> anyhow::Result<Answer> {
        self.asked = self.asked.wrapping_add(1);
        let [high, low] = self.asked.to_be_bytes();
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .header(HOST, "bench")
            .header(USER_AGENT, "bench")
            // A network for each request, so that nobody is counted twice by theirs.
            .header("x-forwarded-for", format!("10.{}.{high}.{low}", self.client));
        if let Some(token) = &ask.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !ask.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(ask.body.clone()))?).await?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body, retry_after: retry_after.map(Duration::from_secs) })
    }

    pub async fn expect(&mut self, ask: &Ask) -> anyhow::Result<Answer> {
        let answer = self.ask(ask).await?;
        let said = || String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == ask.expected, "{} {}: {} {}", ask.method, ask.path, answer.status, said());
        Ok(answer)
    }
}

/// So many requests by each of the scripts at the same time, after a tenth as many that are not counted.
pub async fn requests_per_second(server: SocketAddr, scripts: Vec<Script>, each: usize) -> anyhow::Result<f64> {
    let asked = scripts.len() * each;
    let warm = Arc::new(Barrier::new(scripts.len() + 1));
    let mut clients = JoinSet::new();
    for (client, mut script) in scripts.into_iter().enumerate() {
        let warm = warm.clone();
        clients.spawn(async move {
            let warming = async {
                let mut connection = Connection::open(server, client as u8).await?;
                for _ in 0..warm_up(each) {
                    script.step(&mut connection).await?;
                }
                anyhow::Ok(connection)
            };
            let warmed = warming.await;
            // Whoever failed comes here too, so that nobody waits for them.
            warm.wait().await;
            let mut connection = warmed?;
            for _ in 0..each {
                script.step(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    warm.wait().await;
    let begun = Instant::now();
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(asked as f64 / begun.elapsed().as_secs_f64())
}

/// By each of the scripts at the same time, one request after the other, counted in a window.
pub async fn steady_rate(server: SocketAddr, scripts: Vec<Script>, window: Window) -> anyhow::Result<f64> {
    let (done, over) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let mut clients = JoinSet::new();
    for (client, mut script) in scripts.into_iter().enumerate() {
        let (done, over) = (done.clone(), over.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(server, client as u8).await?;
            while !over.is_cancelled() {
                script.step(&mut connection).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let rate = window.rate(&done).await;
    over.cancel();
    // Who failed says why, which nothing having been done does not.
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    rate
}

/// How many of these each script makes beforehand.
pub const fn warm_up(each: usize) -> usize {
    each.div_ceil(10)
}

/// How long each of so many requests took, one after the other, in milliseconds.
pub async fn latencies(server: SocketAddr, ask: &Ask, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(server, u8::MAX).await?;
    let mut took = Vec::with_capacity(count);
    for number in 0..warm_up(count) + count {
        let begun = Instant::now();
        connection.expect(ask).await?;
        if number >= warm_up(count) {
            took.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    Ok(took)
}
