//! Hundreds of clients that are slow on purpose, beside some that are not. In a process of their own, because they need more
//! file descriptors than one usually gets, and count the connections of all servers in it.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use futures_util::{future::join_all, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Map, Value};
use service::{
    http::{self, HttpSettings},
    problem::Json,
    telemetry::Metrics,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    task::JoinHandle,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long anything that should happen soon may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const NOW_AND_THEN: Duration = Duration::from_millis(20);
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain: {what}"))
}

/// Both ends of each connection are in this process.
fn allow_sockets(connections: u64) {
    let (limit, wanted) = (getrlimit(Resource::Nofile), 2 * connections + 100);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .unwrap_or_else(|error| panic!("{wanted} file descriptors are needed: {error}"));
    }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(max_connections: usize, patience: Duration) -> Self {
        let settings = HttpSettings {
            max_connections,
            first_byte_timeout: patience,
            header_read_timeout: patience,
            body_read_timeout: patience,
            write_timeout: patience,
            ..HttpSettings::default()
        };
        let endless =
            async || Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 16_384]))));
        let router = Router::new()
            .route("/", get("quick"))
            .route("/endless", get(endless))
            .route("/reads", post(async |Json(_): Json<Map<String, Value>>| "read"));
        let app = http::app(router, &settings);
        let listener = http::bind("LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(http::serve(listener, app, settings, stop.clone(), CancellationToken::new()));
        Self { address, stop, task }
    }

    async fn stopped(self) {
        self.stop.cancel();
        within_deadline("the server returns", self.task).await.unwrap().unwrap();
    }
}

/// The ways to be slow.
#[derive(Clone, Copy)]
enum Slow {
    Silent,
    HalfAHead,
    TricklingHead,
    TricklingBody,
    NotReading,
}

impl Slow {
    const ALL: [Self; 5] = [Self::Silent, Self::HalfAHead, Self::TricklingHead, Self::TricklingBody, Self::NotReading];

    /// Is slow until the server has closed.
    async fn be(self, mut stream: TcpStream) {
        let (opening, trickled) = match self {
            Self::Silent => ("", None),
            Self::HalfAHead => ("GET / HTTP/1.1\r\nhost: x\r\n", None),
            Self::TricklingHead => ("GET / HTTP/1.1\r\nhost: x\r\nx-long: ", Some("x")),
            Self::TricklingBody => (
                "POST /reads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 16000\r\n\r\n{",
                Some(" "),
            ),
            // Nothing that is sent then is read either, but it says when the server has closed.
            Self::NotReading => ("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n", Some("x")),
        };
        if stream.write_all(opening.as_bytes()).await.is_err() {
            return;
        }
        let Some(trickled) = trickled else {
            // An end or a reset.
            while matches!(stream.read(&mut [0; 1_024]).await, Ok(1..)) {}
            return;
        };
        let mut now_and_then = interval(NOW_AND_THEN);
        while stream.write_all(trickled.as_bytes()).await.is_ok() {
            now_and_then.tick().await;
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    within_deadline("a connection", TcpStream::connect(address)).await.unwrap()
}

/// Asks on a connection of its own, which it then keeps.
async fn is_answered(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"quick") {
        let read = within_deadline("an answer", stream.read_buf(&mut text)).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&text));
    }
    assert!(text.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&text));
    stream
}

async fn no_connection_is_open(metrics: &Metrics) {
    let mut now_and_then = interval(NOW_AND_THEN);
    within_deadline("all connections are closed", async {
        while !metrics.render().lines().any(|line| line == "http_connections 0") {
            now_and_then.tick().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_clients_do_not_notice_500_slow_ones_and_all_of_those_are_closed() {
    const SLOW: usize = 500;
    const MAX_CONNECTIONS: usize = 550;
    let _alone = ONE_AT_A_TIME.lock().await;
    allow_sockets(MAX_CONNECTIONS as u64);
    let metrics = Metrics::start("test").unwrap();
    let server = Server::start(MAX_CONNECTIONS, Duration::from_secs(3)).await;
    let address = server.address;

    let streams = join_all((0..SLOW).map(|_| connect(address))).await;
    let slow: Vec<_> = streams
        .into_iter()
        .zip(Slow::ALL.into_iter().cycle())
        .map(|(stream, slow)| tokio::spawn(slow.be(stream)))
        .collect();
    let healthy = join_all((0..20).map(async |_| {
        for _ in 0..10 {
            is_answered(address).await;
        }
    }));
    healthy.await;
    // The healthy ones came last, so all slow ones had been accepted. What counts is that the server has closed them: a
    // kernel that closes hundreds at once may do without telling a client, which never learns of it unless it sends.
    no_connection_is_open(&metrics).await;
    slow.iter().for_each(JoinHandle::abort);

    // All places are free again: as many as there are can be had at the same time.
    let all_at_once = join_all((0..MAX_CONNECTIONS).map(|_| is_answered(address))).await;
    assert_eq!(all_at_once.len(), MAX_CONNECTIONS);
    drop(all_at_once);
    server.stopped().await;
    no_connection_is_open(&metrics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_clients_have_their_turn_where_slow_ones_take_every_place_again_and_again() {
    const SLOW: usize = 150;
    const MAX_CONNECTIONS: usize = 50;
    let _alone = ONE_AT_A_TIME.lock().await;
    allow_sockets(SLOW as u64 + 100);
    let server = Server::start(MAX_CONNECTIONS, Duration::from_millis(200)).await;
    let (address, times) = (server.address, AtomicUsize::new(0));

    let streams = join_all((0..SLOW).map(|_| connect(address))).await;
    let attack = join_all(streams.into_iter().zip(Slow::ALL.into_iter().cycle()).map(async |(mut stream, slow)| {
        loop {
            slow.be(stream).await;
            times.fetch_add(1, Relaxed);
            stream = connect(address).await;
        }
    }));
    let healthy = join_all((0..10).map(async |_| {
        for _ in 0..3 {
            is_answered(address).await;
        }
    }));
    tokio::select! {
        endless = attack => { let _: Vec<()> = endless; }
        _ = healthy => {}
    }
    assert!(times.load(Relaxed) > SLOW, "the attack went on: {times:?}");
    server.stopped().await;
}
