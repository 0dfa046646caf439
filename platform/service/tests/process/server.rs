//! Servers on real sockets, and what comes from them byte for byte.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo, routing::get};
use serde_json::Value;
use service::http::{self, HttpSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::within_deadline;

/// A server on a port of its own.
pub struct Server {
    pub address: SocketAddr,
    pub soft: CancellationToken,
    pub hard: CancellationToken,
    pub task: JoinHandle<std::io::Result<()>>,
    /// Notified when a request to `/slow` is in its handler, and lets it answer.
    pub entered: Arc<Notify>,
    pub answer: Arc<Notify>,
}

impl Server {
    pub async fn start(settings: HttpSettings) -> Self {
        let (entered, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (entered, answer) = (Arc::clone(&entered), Arc::clone(&answer));
            async move || {
                entered.notify_one();
                answer.notified().await;
                "slow"
            }
        };
        let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let router = Router::new().route("/", get("quick")).route("/slow", get(slow)).route("/peer", get(peer));
        Self { entered, answer, ..Self::of(router, settings).await }
    }

    pub async fn of(router: Router, settings: HttpSettings) -> Self {
        let app = http::app(router, &settings);
        let listener = http::bind("LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hard = CancellationToken::new();
        let soft = hard.child_token();
        let task = tokio::spawn(http::serve(listener, app, settings, soft.clone(), hard.clone()));
        Self { address, soft, hard, task, entered: Arc::default(), answer: Arc::default() }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn stopped(self) {
        within_deadline("the server returns", self.task).await.unwrap().unwrap();
    }
}

pub fn impatient() -> HttpSettings {
    let soon = Duration::from_millis(200);
    HttpSettings {
        first_byte_timeout: soon,
        header_read_timeout: soon,
        body_read_timeout: soon,
        ..HttpSettings::default()
    }
}

/// Would wait for ever, were it not for the deadline.
pub fn patient() -> HttpSettings {
    let long = Duration::from_hours(1);
    HttpSettings { first_byte_timeout: long, header_read_timeout: long, ..HttpSettings::default() }
}

pub async fn send(stream: &mut TcpStream, request: impl AsRef<[u8]>) {
    stream.write_all(request.as_ref()).await.unwrap();
}

/// Everything until the server closes.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset closes as well as an end does.
    let _ = within_deadline("the server closes the connection", stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

/// One answer of a connection that stays open.
pub async fn answer(stream: &mut TcpStream, last_words: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(last_words) {
        let mut bytes = [0; 1_024];
        let read = within_deadline("an answer", stream.read(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    text
}

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: BTreeMap<String, Vec<String>>,
    pub body: String,
}

impl Reply {
    /// All that a connection says until it is closed is one answer.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status =
            lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap().parse().unwrap();
        let mut headers = BTreeMap::<_, Vec<_>>::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Self { status, headers, body: body.to_owned() }
    }

    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.get(name)?;
        assert_eq!(values.len(), 1, "{name} is there more than once: {self:?}");
        Some(&values[0])
    }

    pub fn problem(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What every answer has, whatever it is and whoever made it.
pub fn assert_guarded(reply: &Reply) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}: {reply:?}");
    }
    let request_id = reply.header("x-request-id").unwrap();
    assert!(request_id.len() == 32 && request_id.bytes().all(|b| b.is_ascii_hexdigit()), "{reply:?}");
    assert_eq!(reply.header("strict-transport-security"), None);
}

/// A problem document and nothing else.
pub fn assert_problem(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()), "{reply:?}");
    assert_guarded(reply);
    let problem = reply.problem();
    assert_eq!(problem["status"], status, "{reply:?}");
    for member in ["type", "title"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{reply:?}");
    }
}
