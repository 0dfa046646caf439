use service::http::{self, HttpSettings};
use tokio::net::TcpStream;

use crate::{
    server::{Server, answer, impatient, patient, rest, send},
    within_deadline,
};

#[tokio::test]
async fn a_silent_client_is_closed() {
    let server =
        Server::start(HttpSettings { header_read_timeout: patient().header_read_timeout, ..impatient() }).await;
    assert_eq!(rest(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_closed() {
    let server = Server::start(HttpSettings { first_byte_timeout: patient().first_byte_timeout, ..impatient() }).await;
    let mut stream = server.connect().await;
    send(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    rest(&mut stream).await;
}

#[tokio::test]
async fn an_idle_keep_alive_is_closed_after_its_answer() {
    let server = Server::start(impatient()).await;
    let mut stream = server.connect().await;
    send(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(rest(&mut stream).await.ends_with("quick"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start(patient()).await;
    let mut stream = server.connect().await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", "x".repeat(20_000))).await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_handler_knows_its_peer() {
    let server = Server::start(patient()).await;
    let mut stream = server.connect().await;
    let us = stream.local_addr().unwrap().to_string();
    send(&mut stream, "GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(rest(&mut stream).await.ends_with(&us));
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let server = Server::start(HttpSettings { max_connections: 1, ..patient() }).await;
    let mut first = server.connect().await;
    send(&mut first, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    answer(&mut first, "quick").await;

    let mut second = server.connect().await;
    send(&mut second, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(second.try_read(&mut [0]).is_err(), "answered although the only permit is taken");
    drop(first);
    assert!(rest(&mut second).await.ends_with("quick"));
}

#[tokio::test]
async fn stopping_finishes_the_request_in_flight_and_closes_the_rest() {
    let server = Server::start(patient()).await;
    let mut idle = server.connect().await;
    send(&mut idle, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    answer(&mut idle, "quick").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within_deadline("the handler is entered", server.entered.notified()).await;

    server.soft.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle keep-alive is closed");
    assert_eq!(rest(&mut silent).await, "", "a silent connection is closed");
    let refused = within_deadline("new connections are refused", async {
        while let Ok(stream) = TcpStream::connect(server.address).await {
            drop(stream);
            tokio::task::yield_now().await;
        }
        true
    });
    assert!(refused.await);
    assert!(!server.task.is_finished(), "it left a request behind");

    server.answer.notify_one();
    let text = rest(&mut busy).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("slow"), "{text}");
    assert!(text.contains("connection: close"), "{text}");
    server.stopped().await;
}

#[tokio::test]
async fn stopping_hard_drops_the_request_in_flight() {
    let server = Server::start(patient()).await;
    let mut busy = server.connect().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within_deadline("the handler is entered", server.entered.notified()).await;
    server.hard.cancel();
    assert_eq!(rest(&mut busy).await, "");
    server.stopped().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_variable() {
    let taken = http::bind("LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = http::bind("AUTH_LISTEN", address).await.unwrap_err();
    assert_eq!(
        service::ErrorChain(&error).to_string(),
        format!("can't listen on {address}, from AUTH_LISTEN: Address already in use (os error 98)")
    );
}
