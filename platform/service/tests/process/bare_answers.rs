//! What the HTTP library answers by itself.

use axum::{
    Router,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use service::telemetry::Metrics;

use crate::server::{Reply, Server, answer, assert_problem, patient, rest, send};

/// As hyper writes it.
const BARE: &str =
    "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Thu, 26 Nov 2026 10:00:00 GMT\r\n\r\n";

fn look_alike() -> Response {
    (BARE.repeat(3)).into_response()
}

/// Each piece is written by itself, and the last one is nothing but a bare answer.
fn in_pieces() -> Response {
    let pieces = stream::iter([BARE, BARE]).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(Bytes::from(piece))
    });
    let length = [(header::CONTENT_LENGTH, (2 * BARE.len()).to_string())];
    (length, Body::from_stream(pieces)).into_response()
}

async fn server() -> Server {
    let router = Router::new()
        .route("/", get("quick"))
        .route("/look-alike", get(async || look_alike()))
        .route("/in-pieces", get(async || in_pieces()))
        .route("/large", get(async || "x".repeat(8 << 20)))
        .route("/read", post(async |body: Bytes| body.len().to_string()));
    Server::of(router, patient()).await
}

async fn said_to(server: &Server, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = server.connect().await;
    send(&mut stream, bytes).await;
    rest(&mut stream).await
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_a_problem() {
    let server = server().await;
    let many_fields = "x-many: hunter2\r\n".repeat(101);
    for (bytes, status) in [
        (b"hunter2 hunter2 hunter2\r\n\r\n".to_vec(), 400),
        (b"GET\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/3.0\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/1.1\r\nhunter2\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/1.1\r\nhost : hunter2\r\n\r\n".to_vec(), 400),
        (b"POST /read HTTP/1.1\r\ncontent-length: hunter2\r\n\r\n".to_vec(), 400),
        (b"POST /read HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_vec(), 400),
        (b"POST /read HTTP/1.1\r\ntransfer-encoding: hunter2\r\n\r\n".to_vec(), 400),
        (vec![0; 64], 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hunter2".to_vec(), 400),
        (b"\xff\xfe\xfd\r\n\r\n".to_vec(), 400),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "hunter2".repeat(10_000)).into_bytes(), 414),
        (format!("GET /{}", "hunter2".repeat(10_000)).into_bytes(), 414),
        (format!("GET / HTTP/1.1\r\n{}", "hunter2".repeat(10_000)).into_bytes(), 431),
        (format!("GET / HTTP/1.1\r\ncookie: {}\r\n\r\n", "hunter2".repeat(100_000)).into_bytes(), 431),
        (format!("GET / HTTP/1.1\r\n{many_fields}\r\n").into_bytes(), 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0".to_vec(), 505),
    ] {
        let shown = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        let reply = Reply::parse(&said_to(&server, &bytes).await);
        assert_problem(&reply, status);
        assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
        assert_eq!(reply.header("date").is_some(), status != 505, "{shown:?}");
        assert_eq!(reply.problem()["type"], "about:blank");
        assert!(reply.problem()["detail"].is_string());
        assert!(!reply.body.contains("hunter2"), "{reply:?}");
    }
}

#[tokio::test]
async fn what_follows_a_good_request_is_answered_after_it() {
    let server = server().await;
    for path in ["/", "/look-alike", "/in-pieces"] {
        let text = said_to(&server, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\nhunter2 hunter2\r\n\r\n")).await;
        let at = text.rfind("HTTP/1.1 400").unwrap();
        let (good, refused) = text.split_at(at);
        assert_problem(&Reply::parse(refused), 400);
        let good = Reply::parse(good);
        assert_eq!(good.status, 200, "{text}");
        match path {
            "/" => assert_eq!(good.body, "quick"),
            "/look-alike" => assert_eq!(good.body, BARE.repeat(3)),
            _ => assert_eq!(good.body, BARE.repeat(2)),
        }
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told_from_a_head_that_is_too_large_on_every_request() {
    let server = server().await;
    for (bytes, status) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000)), 414),
        (format!("GET / HTTP/1.1\r\ncookie: {}\r\n\r\n", "x".repeat(20_000)), 431),
    ] {
        let mut stream = server.connect().await;
        for _ in 0..2 {
            send(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            answer(&mut stream, "quick").await;
        }
        send(&mut stream, bytes).await;
        assert_problem(&Reply::parse(&rest(&mut stream).await), status);
    }
}

#[tokio::test]
async fn it_is_answered_whole_behind_an_answer_that_the_client_is_slow_to_read() {
    let server = server().await;
    let mut stream = server.connect().await;
    // More than any buffer between the two holds, so the refusal is made while most of the answer still waits.
    send(&mut stream, "GET /large HTTP/1.1\r\nhost: x\r\n\r\nhunter2 hunter2\r\n\r\n").await;
    stream.readable().await.unwrap();
    let text = rest(&mut stream).await;
    let (large, refused) = text.split_at(text.rfind("HTTP/1.1 400").unwrap());
    assert_problem(&Reply::parse(refused), 400);
    assert_eq!(Reply::parse(large).body.len(), 8 << 20);
}

#[tokio::test]
async fn an_answer_that_looks_like_a_bare_one_is_not_touched() {
    let server = server().await;
    for (path, wanted) in [("/look-alike", BARE.repeat(3)), ("/in-pieces", BARE.repeat(2))] {
        let two = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\n\r\nGET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let text = said_to(&server, two).await;
        let bodies: Vec<_> =
            text.split("HTTP/1.1 200 OK\r\n").skip(1).map(|rest| rest.split_once("\r\n\r\n").unwrap().1).collect();
        assert_eq!(bodies, [&wanted, &wanted], "{path}");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let server = server().await;
    let mut stream = server.connect().await;
    let head =
        "POST /read HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n";
    send(&mut stream, head).await;
    let continued = answer(&mut stream, "\r\n\r\n").await;
    assert_eq!(continued, "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut stream, "abc").await;
    assert_eq!(Reply::parse(&rest(&mut stream).await).body, "3");
}

#[tokio::test]
async fn what_is_no_request_is_counted() {
    let metrics = Metrics::start("test").unwrap();
    said_to(&server().await, format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000))).await;
    let rendered = metrics.render();
    let wanted = r#"http_requests_total{method="other",route="unmatched",status="414"}"#;
    assert!(rendered.contains(wanted), "{rendered}");
}
