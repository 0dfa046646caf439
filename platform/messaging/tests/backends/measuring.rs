//! What calls of the bus leave in the metrics.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use fixtures::TestBus;
use messaging::{
    AwsBus, AwsSettings, Bus, EntryError, OutgoingMessage, QueueSettings, Receipt, ReceiveRequest, Subscriber,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use schemas::EventType;

use crate::proxy::Proxy;

const HAPPENED: EventType = EventType::new("test.happened");

/// The recorder is the process's, shared by all tests; names of queues and topics tell their calls apart.
fn recorded() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    RECORDER.get_or_init(|| {
        let handle = PrometheusBuilder::new().set_buckets(&[1.0, 60.0]).unwrap().install_recorder().unwrap();
        messaging::describe_metrics();
        handle
    })
}

/// How many calls there were, and the seconds of all of them.
fn calls(system: &str, operation: &str, destination: &str, error: &str) -> (u64, f64) {
    let text = recorded().render();
    let value = |what: &str| {
        let labels = [
            format!("messaging_system=\"{system}\""),
            format!("messaging_operation_name=\"{operation}\""),
            format!("messaging_destination_name=\"{destination}\""),
            format!("error_type=\"{error}\""),
        ];
        let name = format!("messaging_client_operation_duration_seconds_{what}{{");
        let mut lines =
            text.lines().filter(|line| line.starts_with(&name) && labels.iter().all(|label| line.contains(label)));
        let line = lines.next().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        assert_eq!(lines.next(), None);
        line.unwrap_or_default()
    };
    (value("count") as u64, value("sum"))
}

fn message(body: &str) -> OutgoingMessage {
    let attributes = [("type".to_owned(), HAPPENED.as_str().to_owned())].into();
    OutgoingMessage { body: body.to_owned(), attributes }
}

fn subscriber() -> Subscriber {
    Subscriber { consumer: "reader".to_owned(), events: [HAPPENED].into(), settings: QueueSettings::DEFAULT }
}

const WAIT: Duration = Duration::from_secs(2);

/// Publishes once, sends twice, receives until that is there, changes and deletes three times, and waits in vain once.
async fn work(test: &TestBus) -> u64 {
    recorded();
    let (queue, _) = test.subscribe("reader", &[HAPPENED], QueueSettings::DEFAULT).await;
    test.bus.publisher().publish(HAPPENED.as_str(), &[message("a")]).await[0].as_ref().unwrap();
    for body in ["b", "c"] {
        queue.send(&[message(body)]).await[0].as_ref().unwrap();
    }
    let request = ReceiveRequest { max: 1, wait: Duration::from_secs(20), visibility: Duration::from_secs(600) };
    for _ in 0..3 {
        let held = queue.receive(request).await.unwrap().remove(0);
        let changed = queue.change_visibility(&[(held.receipt.clone(), request.visibility)]).await;
        assert_eq!(changed, [Ok(())]);
        assert_eq!(queue.delete(&[held.receipt]).await, [Ok(())]);
    }
    assert!(queue.receive(ReceiveRequest { wait: WAIT, ..request }).await.unwrap().is_empty());
    3 + 1
}

#[tokio::test]
async fn calls_to_sns_and_sqs_are_counted_by_operation_and_what_waits_is_told_from_what_settles() {
    let test = fixtures::bus().await;
    let receives = work(&test).await;
    let (queue, topic) = (format!("{}reader", test.prefix), format!("{}test-happened", test.prefix));
    let count = |operation: &str| calls("aws_sqs", operation, &queue, "").0;
    assert_eq!(calls("aws.sns", "PublishBatch", &topic, "").0, 1);
    assert_eq!(count("SendMessageBatch"), 2);
    assert_eq!(count("ChangeMessageVisibilityBatch"), 3);
    assert_eq!(count("ReceiveMessage"), receives);
    let (deletes, seconds) = calls("aws_sqs", "DeleteMessageBatch", &queue, "");
    assert_eq!(deletes, 3);
    let (_, waited) = calls("aws_sqs", "ReceiveMessage", &queue, "");
    assert!(waited > 1.9, "a poll that waits is timed with its wait: {waited}");
    assert!(seconds > 0.0);
}

#[tokio::test]
async fn calls_to_the_embedded_bus_are_counted_by_operation() {
    let test = fixtures::embedded_bus().await;
    let receives = work(&test).await;
    let (queue, topic) = (format!("{}reader", test.prefix), format!("{}test-happened", test.prefix));
    let count = |operation: &str| calls("pgmq", operation, &queue, "").0;
    assert_eq!(calls("pgmq", "publish", &topic, "").0, 1);
    let counts = ["send", "change_visibility", "delete", "receive"].map(count);
    assert_eq!(counts, [2, 3, 3, receives]);
    let (_, waited) = calls("pgmq", "receive", &queue, "");
    assert!(waited > 1.9, "{waited}");
}

#[tokio::test]
async fn a_refused_call_is_counted_with_its_code_and_with_nothing_of_what_was_sent() {
    let test = fixtures::bus().await;
    recorded();
    let (queue, _) = test.subscribe("reader", &[HAPPENED], QueueSettings::DEFAULT).await;
    test.bus.remove_subscriber(&subscriber()).await.unwrap();
    let sent = queue.send(&[message("nobody-may-read-this")]).await;
    assert!(sent[0].is_err(), "{sent:?}");
    // LocalStack names it as the older protocol did.
    let codes = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];
    let refused = codes.map(|code| calls("aws_sqs", "SendMessageBatch", queue.name(), code).0);
    assert_eq!(refused.iter().sum::<u64>(), 1, "{}", recorded().render());
    assert_eq!(calls("aws_sqs", "SendMessageBatch", queue.name(), "").0, 0);
    assert!(!recorded().render().contains("nobody-may-read-this"));
}

#[tokio::test]
async fn on_the_embedded_bus_a_refused_call_is_counted_with_the_servers_code() {
    let test = fixtures::embedded_bus().await;
    recorded();
    let (queue, _) = test.subscribe("reader", &[HAPPENED], QueueSettings::DEFAULT).await;
    test.bus.remove_subscriber(&subscriber()).await.unwrap();
    let request = ReceiveRequest { max: 1, wait: Duration::ZERO, visibility: WAIT };
    queue.receive(request).await.unwrap_err();
    assert_eq!(calls("pgmq", "receive", queue.name(), "42P01").0, 1, "undefined_table");
    assert_eq!(calls("pgmq", "receive", queue.name(), "").0, 0);
}

#[tokio::test]
async fn a_call_that_is_tried_again_counts_as_two() {
    let test = fixtures::bus().await;
    recorded();
    let (direct, _) = test.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    let proxy = Proxy::start().await;
    let queue = proxy.bus(&test.prefix).await.queue(direct.name()).await.unwrap();
    proxy.fail_one();
    let settled = queue.delete(&[Receipt("none".to_owned())]).await;
    assert!(matches!(settled.as_slice(), [Err(EntryError::Gone { .. })]), "{settled:?}");
    assert_eq!(calls("aws_sqs", "DeleteMessageBatch", direct.name(), "503").0, 1, "{}", recorded().render());
    assert_eq!(calls("aws_sqs", "DeleteMessageBatch", direct.name(), "").0, 1);
}

#[tokio::test]
async fn a_call_that_reaches_nobody_is_counted_as_that() {
    recorded();
    let settings = AwsSettings {
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..AwsSettings::default()
    };
    let name = fixtures::unique("nobody");
    AwsBus::new(settings).await.queue(&name).await.unwrap_err();
    // The SDK tries three times.
    assert_eq!(calls("aws_sqs", "GetQueueUrl", &name, "dispatch").0, 3, "{}", recorded().render());
}
