//! Answers of the HTTP library's own, made into problems like all others.
//!
//! What it can't read as a request never becomes one: hyper answers 400, 414 or 431 by itself, with a head and no body, and
//! closes. It has no hook for that, so its answer is replaced where it is written.
//!
//! Nothing is recognised by what it looks like, because a body may look like anything. [`Exchanges`] counts the requests
//! that were taken up and the answers that hyper has taken over to the last byte. Once the two are equal, whatever it has
//! left to write at that moment is the rest of ours; and what it wants to write beyond that while no other request was
//! taken up is its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::HttpBody,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use hyper::body::{Frame, SizeHint};
use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{MAX_HEAD_BYTES, REQUEST_ID, TraceContext, request_metrics::OTHER_METHOD, security_headers};
use crate::problem::{CONTENT_TYPE, Problem};

/// The requests of one connection. Clones count together; all is done by the one task of that connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchanges(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request that was taken up; ends with its answer's body.
#[derive(Debug)]
pub(super) struct Exchange(Exchanges);

impl Exchanges {
    pub fn begin(&self) -> Exchange {
        self.0.begun.fetch_add(1, Relaxed);
        Exchange(self.clone())
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Relaxed)
    }

    fn all_ended(&self) -> bool {
        self.begun() == self.0.ended.load(Relaxed)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Relaxed);
    }
}

/// An answer's body. It is dropped when all of it was taken over to be written.
pub(super) struct Answer<B> {
    body: B,
    _exchange: Exchange,
}

impl Exchange {
    pub fn answer<B>(self, body: B) -> Answer<B> {
        Answer { body, _exchange: self }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream, on which the answers that hyper makes are replaced.
pub(super) struct WithoutBareAnswers<S> {
    stream: S,
    exchanges: Exchanges,
    /// How many requests had begun, and ended, when hyper last wrote.
    settled: usize,
    /// What it had left to write then; all of it ours.
    left: usize,
    /// What is written instead of its own answer, and how much of it has been.
    instead: Option<(Vec<u8>, usize)>,
    request_line: RequestLine,
}

/// The first line of what may become a request. For hyper a line that never ends is a head that is too large; by RFC 9112, 3,
/// it is a path that is too long.
#[derive(Debug, Default)]
struct RequestLine {
    /// The requests that had been taken up before it.
    after: usize,
    length: usize,
    has_ended: bool,
}

impl RequestLine {
    fn read(&mut self, bytes: &[u8], exchanges: &Exchanges) {
        if exchanges.all_ended() && self.after != exchanges.begun() {
            *self = Self { after: exchanges.begun(), ..Self::default() };
        }
        if !self.has_ended {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.length += end.unwrap_or(bytes.len());
            self.has_ended = end.is_some();
        }
    }

    fn is_too_long(&self) -> bool {
        self.length >= MAX_HEAD_BYTES
    }
}

impl<S: AsyncWrite + Unpin> WithoutBareAnswers<S> {
    pub fn new(stream: S, exchanges: Exchanges) -> Self {
        Self { stream, exchanges, settled: 0, left: 0, instead: None, request_line: RequestLine::default() }
    }

    /// Answers what is no request, where hyper is silent: to a client that begins with HTTP/2.
    pub async fn refuse(&mut self, status: StatusCode) -> io::Result<()> {
        let nothing_said = self.left == 0 && self.instead.is_none() && self.exchanges.all_ended();
        if nothing_said && self.settled == self.exchanges.begun() {
            self.stream.write_all(&problem(status, None)).await?;
        }
        Ok(())
    }

    fn remember(&mut self, left: usize) {
        if self.exchanges.all_ended() {
            self.settled = self.exchanges.begun();
            self.left = left;
        }
    }

    fn poll_write_instead(&mut self, context: &mut Context<'_>, own: &[u8]) -> Poll<io::Result<usize>> {
        let (bytes, written) = self.instead.get_or_insert_with(|| (instead_of(own, &self.request_line), 0));
        while *written < bytes.len() {
            let more = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[*written..]))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += more;
        }
        Poll::Ready(Ok(own.len()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithoutBareAnswers<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let settled = this.settled == this.exchanges.begun();
        if settled && this.left == 0 && !bytes.is_empty() {
            return this.poll_write_instead(context, bytes);
        }
        let ours = if settled { &bytes[..bytes.len().min(this.left)] } else { bytes };
        let written = Pin::new(&mut this.stream).poll_write(context, ours);
        this.remember(match &written {
            Poll::Ready(Ok(written)) => ours.len() - written,
            _ => ours.len(),
        });
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only called when there is nothing left to write.
        self.remember(0);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// So that hyper gathers what it writes in one buffer, in order.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithoutBareAnswers<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        this.request_line.read(&into.filled()[before..], &this.exchanges);
        read
    }
}

/// The problem for hyper's answer; an answer that can't be read, which it does not make, is passed on as it is.
fn instead_of(own: &[u8], line: &RequestLine) -> Vec<u8> {
    let head = str::from_utf8(own).unwrap_or_default();
    let date = head.lines().find_map(|line| line.strip_prefix("date: "));
    match head.split(' ').nth(1).and_then(|code| code.parse().ok()) {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) if line.is_too_long() => {
            problem(StatusCode::URI_TOO_LONG, date)
        }
        Some(status) => problem(status, date),
        None => own.to_vec(),
    }
}

fn problem(status: StatusCode, date: Option<&str>) -> Vec<u8> {
    let trace = TraceContext::start();
    tracing::info!(trace_id = trace.trace_id(), status = status.as_u16(), "refused what is no request");
    counter!("http_requests_total", "method" => OTHER_METHOD, "route" => "unmatched", "status" => status.as_str().to_owned())
        .increment(1);

    let body = serde_json::to_vec(&Problem::of(status).detail(detail(status))).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, text) in [(header::DATE, date), (REQUEST_ID, Some(trace.trace_id()))] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    security_headers::add_to(&mut headers, false);

    let reason = status.canonical_reason().unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    answer.extend(body);
    answer
}

fn detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::URI_TOO_LONG => "the path with its query is too long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the head is too large, or has too many header fields",
        StatusCode::HTTP_VERSION_NOT_SUPPORTED => "this is a server of HTTP/1.1",
        _ => "this is no request of HTTP/1.1",
    }
}
