use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use metrics::gauge;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    HttpSettings, MAX_HEAD_BYTES,
    bare_answers::{Exchanges, WithoutBareAnswers},
    head_timer::HeadTimer,
};

#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}, from {variable}")]
pub struct BindError {
    pub address: SocketAddr,
    /// The setting that says where to listen.
    pub variable: String,
    pub source: io::Error,
}

const LONGEST_LINGER: Duration = Duration::from_secs(2);
/// How many connections may wait to be accepted. Beyond it the kernel drops some without a word, and the usual 128 are used up
/// by one burst.
const BACKLOG: u32 = 1_024;
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Takes a port; 0 takes any free one, which `local_addr` then tells.
pub async fn bind(variable: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|source| BindError { address, variable: variable.to_owned(), source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a process that was here before do not keep its successor out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers requests until `soft` is cancelled; then accepts no more, finishes those in flight, closes idle connections
/// and returns. When `hard` is cancelled, connections are dropped as they are.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    settings: HttpSettings,
    soft: CancellationToken,
    hard: CancellationToken,
) -> io::Result<()> {
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let permits = Arc::new(Semaphore::new(settings.max_connections));
    let connections = TaskTracker::new();
    let connection = Connection { app, settings: Arc::new(settings), soft: soft.clone(), hard };

    let accept_all = async {
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            let (stream, peer) = accept(&listener).await;
            connections.spawn(connection.for_the_next().run(stream, peer, permit));
        }
    };
    soft.run_until_cancelled(accept_all).await;

    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client's doing, and over.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                ) => {}
            // Most likely out of file descriptors. The connection stays in the queue, so trying again at once would spin.
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection, trying again in {} s", ACCEPT_AGAIN_AFTER.as_secs());
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// What every connection is served with.
#[derive(Clone)]
struct Connection {
    app: Router,
    settings: Arc<HttpSettings>,
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Connection {
    /// Whether to stop is looked at whenever a connection goes on, and each looks at a token of its own: at one for all of them,
    /// they would meet at its lock.
    fn for_the_next(&self) -> Self {
        Self { soft: self.soft.child_token(), ..self.clone() }
    }

    async fn run(self, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        let open = gauge!("http_connections");
        open.increment(1);
        if self.says_something(&stream).await {
            self.answer(stream, peer).await;
        }
        open.decrement(1);
    }

    /// The HTTP library starts its clock with the first byte, so a connection that never sends one is ours to close.
    /// `peek` and not `readable`, which also returns when there is nothing.
    async fn says_something(&self, stream: &TcpStream) -> bool {
        let mut first = [0];
        tokio::select! {
            // A request that is there already is answered, also while stopping.
            biased;
            peeked = timeout(self.settings.first_byte_timeout, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1))),
            () = self.soft.cancelled() => false,
        }
    }

    async fn answer(self, stream: TcpStream, peer: SocketAddr) {
        // Without it, a small answer waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.settings.write_timeout));
        let exchanges = Exchanges::default();
        let stream = WithoutBareAnswers::new(Box::pin(stream), exchanges.clone());

        let app = self.app;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let (exchange, answer) = (exchanges.begin(), app.clone().call(request));
            async {
                let answer = answer.await.map_err(|never: Infallible| never)?;
                Ok::<_, Infallible>(answer.map(|body| exchange.answer(body)))
            }
        });
        // A head has a hundred fields at the most, which is hyper's own limit: for any other it allocates room with each request.
        let mut connection = http1::Builder::new()
            .timer(HeadTimer::default())
            .header_read_timeout(self.settings.header_read_timeout)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);

        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.soft.cancelled() => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                match self.hard.run_until_cancelled(&mut connection).await {
                    Some(ended) => ended,
                    None => return,
                }
            }
        };
        let mut stream = connection.into_parts().io.into_inner();
        if let Err(error) = ended {
            tracing::debug!(%peer, error = %crate::ErrorChain(&error), "a connection broke off");
            // That of HTTP/2 is the one beginning that hyper does not answer.
            if !error.is_parse() || stream.refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED).await.is_err() {
                return;
            }
        }
        let linger = self.settings.body_read_timeout.min(LONGEST_LINGER);
        self.soft.run_until_cancelled(timeout(linger, close(stream))).await;
    }
}

/// Closing while something unread has arrived resets the connection, and takes from the client the answer that is on its
/// way (RFC 9112, 9.6). So only our side is closed first, and what the client still sends is thrown away for a while.
async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut thrown_away = [0; 8_192];
    if stream.shutdown().await.is_ok() {
        while matches!(stream.read(&mut thrown_away).await, Ok(1..)) {}
    }
}
