//! A proxy before LocalStack that counts requests and can fail some.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fixtures::required_variable;
use messaging::{AwsBus, AwsSettings, Names};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

#[derive(Clone)]
pub struct Proxy {
    endpoint: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    receives: AtomicUsize,
    to_fail: AtomicUsize,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let counts = Arc::<Counts>::default();
        let counted = counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, counted.clone()));
            }
        });
        Self { endpoint, counts }
    }

    /// The bus of a test, seen through this.
    pub async fn bus(&self, prefix: &str) -> AwsBus {
        let settings = AwsSettings {
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            names: Names::with_prefix(prefix),
            ..AwsSettings::default()
        };
        AwsBus::new(settings).await
    }

    /// Receives that were passed on.
    pub fn receives(&self) -> usize {
        self.counts.receives.load(Ordering::SeqCst)
    }

    /// Answers the next request with 503, and passes on what follows.
    pub fn fail_one(&self) {
        self.counts.to_fail.store(1, Ordering::SeqCst);
    }
}

/// Requests come one after the other on a connection, so answers of both kinds never meet.
async fn pass(client: TcpStream, counts: Arc<Counts>) -> Option<()> {
    let upstream: String = required_variable("LOCALSTACK_ENDPOINT").replace("http://", "");
    let (mut answers, mut requests) = TcpStream::connect(upstream).await.ok()?.into_split();
    let (from_client, to_client) = client.into_split();
    let (mut from_client, to_client) = (BufReader::new(from_client), Arc::new(Mutex::new(to_client)));
    let answering = to_client.clone();
    tokio::spawn(async move {
        let mut some = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = answers.read(&mut some).await {
            answering.lock().await.write_all(&some[..length]).await.ok()?;
        }
        answering.lock().await.shutdown().await.ok()
    });
    while let Some((head, body)) = request(&mut from_client).await {
        let take_one = |left: usize| left.checked_sub(1);
        if counts.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok() {
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            to_client.lock().await.write_all(answer).await.ok()?;
            continue;
        }
        let is_receive = head.to_ascii_lowercase().contains("amazonsqs.receivemessage");
        requests.write_all(&[head.into_bytes(), body].concat()).await.ok()?;
        counts.receives.fetch_add(usize::from(is_receive), Ordering::SeqCst);
    }
    None
}

async fn request(client: &mut (impl AsyncBufReadExt + Unpin)) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
