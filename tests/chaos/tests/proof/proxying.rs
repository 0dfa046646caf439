use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chaos::{plan::Request, proxy::Proxy};
use fixtures::eventually;
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use reqwest::Client;
use tokio::{net::TcpListener, time::Instant};

/// What stands behind the proxy: counts what it was asked, and answers what it was sent.
struct Echo {
    proxy: Proxy,
    asked: Arc<AtomicU32>,
}

const NEVER_ANSWERED: &str = "NeverAnswered";

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = counter.clone();
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    async move {
                        if request.headers().get("x-amz-target").is_some_and(|target| target == NEVER_ANSWERED) {
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, hyper::Error>(Response::new(request.into_body()))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { proxy: Proxy::start(0, &upstream).await.unwrap(), asked }
    }

    /// The answer, where there is one.
    async fn ask(&self, operation: &str, body: &'static str) -> reqwest::Result<String> {
        let request = Client::builder().no_proxy().build()?.post(self.proxy.endpoint()).body(body);
        request.header("x-amz-target", operation).send().await?.text().await
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_swallowed_answer_is_that_of_a_request_that_was_done() {
    let echo = Echo::start().await;
    echo.proxy.swallow(Request::Delete, 2);
    assert_eq!(echo.ask("AmazonSQS.ReceiveMessage", "another").await.unwrap(), "another");
    for done in [2, 3] {
        assert!(echo.ask("AmazonSQS.DeleteMessageBatch", "one").await.is_err());
        assert_eq!((echo.asked(), echo.proxy.swallowed()), (done, done - 1));
    }
    assert_eq!(echo.ask("AmazonSQS.DeleteMessageBatch", "one").await.unwrap(), "one");
}

#[tokio::test]
async fn an_empty_poll_is_not_worth_swallowing() {
    let echo = Echo::start().await;
    echo.proxy.swallow(Request::Receive, 1);
    assert_eq!(echo.ask("AmazonSQS.ReceiveMessage", "{}").await.unwrap(), "{}");
    assert!(echo.ask("AmazonSQS.ReceiveMessage", r#"{"Messages":[{"ReceiptHandle":"r"}]}"#).await.is_err());
    assert_eq!(echo.proxy.swallowed(), 1);
}

#[tokio::test]
async fn publishing_is_known_by_its_form() {
    let echo = Echo::start().await;
    echo.proxy.swallow(Request::Publish, 1);
    let client = Client::builder().no_proxy().build().unwrap();
    let post = async |body: &'static str| client.post(echo.proxy.endpoint()).body(body).send().await;
    assert!(post("Action=ListTopics&Version=1").await.is_ok());
    assert!(post("Action=PublishBatch&TopicArn=t").await.is_err());
    assert!(post("Action=PublishBatch&TopicArn=t").await.is_ok());
}

#[tokio::test]
async fn nobody_gets_a_connection_while_they_are_refused_and_everybody_afterwards() {
    let echo = Echo::start().await;
    let address = echo.proxy.endpoint().replace("http://", "");
    let during = Duration::from_millis(500);
    let (refused, seen) = tokio::join!(echo.proxy.refuse(during), async {
        let begun = Instant::now();
        let mut refused = 0;
        while begun.elapsed() < during / 2 {
            refused += u32::from(TcpStream::connect(&address).is_err());
            tokio::task::yield_now().await;
        }
        refused
    });
    refused.unwrap();
    assert!(seen > 0);
    assert_eq!(echo.ask("AmazonSQS.ReceiveMessage", "back").await.unwrap(), "back");
}

#[tokio::test]
async fn a_cut_ends_what_is_on_its_way_and_refuses_nobody() {
    let echo = Echo::start().await;
    let (asked, ()) = tokio::join!(echo.ask(NEVER_ANSWERED, "on its way"), async {
        eventually("the request to arrive", async || (echo.asked() == 1).then_some(())).await;
        echo.proxy.cut();
    });
    assert!(asked.is_err());
    assert_eq!(echo.ask("AmazonSQS.ReceiveMessage", "after").await.unwrap(), "after");
}

#[tokio::test]
async fn a_request_that_is_held_up_arrives_late() {
    let echo = Echo::start().await;
    let late = Duration::from_millis(300);
    echo.proxy.hold_up(late, Duration::from_secs(60));
    let begun = Instant::now();
    assert_eq!(echo.ask("AmazonSQS.ReceiveMessage", "late").await.unwrap(), "late");
    assert!(begun.elapsed() >= late);
}

#[tokio::test]
async fn what_has_passed_is_counted_by_operation() {
    let echo = Echo::start().await;
    for _ in 0..2 {
        echo.ask("AmazonSQS.ReceiveMessage", "{}").await.unwrap();
    }
    let client = Client::builder().no_proxy().build().unwrap();
    client.post(echo.proxy.endpoint()).body("Action=PublishBatch&TopicArn=t").send().await.unwrap();
    let traffic = echo.proxy.traffic();
    let counts: Vec<_> = traffic.iter().map(|(operation, passed)| (operation.as_str(), passed.requests)).collect();
    assert_eq!(counts, [("PublishBatch", 1), ("ReceiveMessage", 2)]);
    assert!(traffic["ReceiveMessage"].last <= traffic["PublishBatch"].first);
}
