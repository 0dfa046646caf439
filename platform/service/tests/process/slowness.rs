//! Clients that take their time over a body or an answer. One connection at a time is allowed, so whoever is answered next
//! shows that the slow one's place is free again.

use std::{io, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Map, Value};
use service::{
    Problem,
    http::HttpSettings,
    problem::{Json, kind},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, interval},
};

use crate::{
    server::{Reply, Server, answer, assert_problem, patient, rest, send},
    within_deadline,
};

const SOON: Duration = Duration::from_millis(200);

async fn server(body_read_timeout: Duration) -> Server {
    let endless =
        async || Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 16_384]))));
    let router = Router::new()
        .route("/", get("quick"))
        .route("/endless", get(endless))
        .route("/reads", post(async |Json(_): Json<Map<String, Value>>| "read"))
        .route("/refuses", post(async || Problem::new(&kind::UNAUTHENTICATED)));
    Server::of(router, HttpSettings { max_connections: 1, write_timeout: SOON, body_read_timeout, ..patient() }).await
}

/// A byte now and then, until the server has closed.
async fn trickle(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) {
    let mut now_and_then = interval(SOON / 20);
    within_deadline("the server closes", async {
        loop {
            now_and_then.tick().await;
            if stream.write_all(bytes).await.is_err() {
                break;
            }
        }
    })
    .await;
}

async fn is_free(server: &Server) {
    let mut next = server.connect().await;
    send(&mut next, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(Reply::parse(&rest(&mut next).await).body, "quick");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_closed() {
    let server = server(SOON).await;
    let mut stream = server.connect().await;
    send(&mut stream, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    is_free(&server).await;
    // What was on its way arrives, and then it ends.
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_asks_again_and_again_and_reads_nothing_is_closed() {
    let server = server(SOON).await;
    let mut stream = server.connect().await;
    let many = "GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    within_deadline("the server closes", async { while stream.write_all(many.as_bytes()).await.is_ok() {} }).await;
    is_free(&server).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_hold_its_connection() {
    let server = server(SOON).await;
    for (line, status) in [("POST /nowhere", 404), ("DELETE /", 405), ("POST /refuses", 401), ("POST /reads", 415)] {
        for framing in ["content-length: 1000000", "transfer-encoding: chunked"] {
            let mut stream = server.connect().await;
            send(&mut stream, format!("{line} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n")).await;
            let mut text = answer(&mut stream, "}").await;
            trickle(&mut stream, b"1").await;
            text.push_str(&rest(&mut stream).await);
            assert_problem(&Reply::parse(&text), status);
            is_free(&server).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_at_its_time() {
    let server = server(SOON).await;
    for (framing, piece) in [("content-length: 1000000", &b" "[..]), ("transfer-encoding: chunked", b"1\r\n \r\n")] {
        let began = Instant::now();
        let stream = server.connect().await;
        let (mut reading, mut writing) = stream.into_split();
        let head = format!("POST /reads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
        writing.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::join!(trickle(&mut writing, piece), async {
            let _ = within_deadline("an answer", reading.read_to_string(&mut text)).await;
        });
        assert!(began.elapsed() >= SOON);
        let reply = Reply::parse(&text);
        assert_problem(&reply, 408);
        assert_eq!(reply.header("connection"), Some("close"));
        is_free(&server).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_more_than_is_read_gets_its_answer_all_the_same() {
    let server = server(patient().body_read_timeout).await;
    // More than the buffers between the two hold, so that it is still sending when it is answered.
    let body = "x".repeat(16 << 20);
    for (line, status) in [("POST /reads", 413), ("POST /nowhere", 404), ("POST /refuses", 401)] {
        let mut stream = server.connect().await;
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        send(&mut stream, head + &body).await;
        let mut text = String::new();
        within_deadline("an answer", stream.read_to_string(&mut text)).await.unwrap();
        assert_problem(&Reply::parse(&text), status);
    }
}
