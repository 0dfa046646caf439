//! What there is on SNS and SQS alone, broken through their own APIs.

use fixtures::TestBus;
use serde_json::json;

use crate::{
    cloudformation::ask,
    recording::{ACCOUNT, REGION, Recorder},
    running::Installation,
};

struct Broken(Installation);

impl Broken {
    async fn healthy() -> Self {
        Self(Installation::healthy(fixtures::bus().await).await)
    }

    fn bus(&self) -> &TestBus {
        &self.0.bus
    }

    fn arn(&self, service: &str, name: &str) -> String {
        format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{}{name}", self.bus().prefix)
    }

    async fn url(&self, queue: &str) -> String {
        let name = format!("{}{queue}", self.bus().prefix);
        let answer = ask("sqs", &[("Action", "GetQueueUrl"), ("QueueName", &name)]).await;
        answer.split("<QueueUrl>").nth(1).unwrap().split('<').next().unwrap().to_owned()
    }

    async fn set(&self, queue: &str, attribute: &str, value: &str) {
        let url = self.url(queue).await;
        let set = [
            ("Action", "SetQueueAttributes"),
            ("QueueUrl", url.as_str()),
            ("Attribute.1.Name", attribute),
            ("Attribute.1.Value", value),
        ];
        ask("sqs", &set).await;
    }

    async fn delete(&self, queue: &str) {
        let url = self.url(queue).await;
        ask("sqs", &[("Action", "DeleteQueue"), ("QueueUrl", &url)]).await;
    }

    async fn subscription(&self) -> String {
        let topic = self.arn("sns", "user-created");
        let listed = ask("sns", &[("Action", "ListSubscriptionsByTopic"), ("TopicArn", &topic)]).await;
        listed.split("<SubscriptionArn>").nth(1).unwrap().split('<').next().unwrap().to_owned()
    }

    async fn set_subscription(&self, attribute: &str, value: &str) {
        let subscription = self.subscription().await;
        let set = [
            ("Action", "SetSubscriptionAttributes"),
            ("SubscriptionArn", subscription.as_str()),
            ("AttributeName", attribute),
            ("AttributeValue", value),
        ];
        ask("sns", &set).await;
    }

    async fn mends(&self, id: &str, severity: &str) {
        self.0.is_found_and_mended(id, severity, &[]).await;
    }
}

#[tokio::test]
async fn queues_that_are_not_there_are_found_and_made() {
    let broken = Broken::healthy().await;
    for (queue, id) in [
        ("user-service-undelivered", "undelivered-queue-exists"),
        ("user-service-dlq", "dead-letter-queue-exists"),
        ("user-service", "queue-exists"),
    ] {
        broken.delete(queue).await;
        broken.mends(id, "error").await;
    }
    // All that was made again is as it was.
    assert_eq!(broken.0.doctor(&[]).await.0, 0);
}

#[tokio::test]
async fn topics_and_subscriptions_that_are_not_there_are_found_and_made() {
    let broken = Broken::healthy().await;
    let subscription = broken.subscription().await;
    ask("sns", &[("Action", "Unsubscribe"), ("SubscriptionArn", &subscription)]).await;
    broken.mends("subscription-exists", "error").await;
    let topic = broken.arn("sns", "user-created");
    ask("sns", &[("Action", "DeleteTopic"), ("TopicArn", &topic)]).await;
    broken.mends("topic-exists", "error").await;
}

#[tokio::test]
async fn a_redrive_policy_that_gives_up_too_early_or_leads_elsewhere_is_found_and_mended() {
    let broken = Broken::healthy().await;
    let policy = |target: &str, count: u32| {
        json!({ "deadLetterTargetArn": broken.arn("sqs", target), "maxReceiveCount": count }).to_string()
    };
    for (count, severity) in [(1, "error"), (2, "error"), (4, "error"), (7, "warning")] {
        broken.set("user-service", "RedrivePolicy", &policy("user-service-dlq", count)).await;
        broken.mends("max-receive-count", severity).await;
    }
    broken.set("user-service", "RedrivePolicy", &policy("user-service-undelivered", 20)).await;
    broken.mends("redrive-policy", "error").await;
    broken.set("user-service", "RedrivePolicy", "").await;
    broken.mends("redrive-policy", "error").await;

    // With more attempts than any queue of ours allows, applying alone would not do.
    let attempts = [("WORKER_MAX_ATTEMPTS", "50")];
    broken.0.is_found_and_mended("max-receive-count", "error", &attempts).await;
}

#[tokio::test]
async fn a_dead_letter_queue_that_sends_on_or_takes_from_others_or_forgets_is_found_and_mended() {
    let broken = Broken::healthy().await;
    let onward = json!({ "deadLetterTargetArn": broken.arn("sqs", "user-service-undelivered"), "maxReceiveCount": 3 });
    broken.set("user-service-dlq", "RedrivePolicy", &onward.to_string()).await;
    // Applying a topology sets what it names and takes nothing away, so this one is mended through the API.
    broken.mends("dead-letter-redrive", "error").await;
    broken.set("user-service-dlq", "RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#).await;
    broken.mends("redrive-allow-policy", "error").await;
    for (retention, severity) in [("345600", "error"), ("432000", "warning"), ("1000000", "warning")] {
        broken.set("user-service-dlq", "MessageRetentionPeriod", retention).await;
        broken.mends("dead-letter-retention", severity).await;
    }
    broken.set("user-service", "MessageRetentionPeriod", "1209600").await;
    broken.mends("dedup-window", "warning").await;
}

#[tokio::test]
async fn the_other_settings_of_a_queue_are_found_and_mended() {
    let broken = Broken::healthy().await;
    broken.set("user-service", "VisibilityTimeout", "5").await;
    broken.mends("visibility-timeout", "warning").await;
    broken.set("user-service", "SqsManagedSseEnabled", "false").await;
    broken.mends("encryption", "warning").await;
    broken.set("user-service", "ReceiveMessageWaitTimeSeconds", "0").await;
    let (code, checks) = broken.0.doctor(&[]).await;
    assert_eq!((code, checks.all().len()), (0, 0), "the worker names its own wait: {:#?}", checks.all());
    assert!(checks.of("receive-wait")["found"].as_str().unwrap().contains("only a hint"));

    // Anybody's topic could send, and ours could not.
    let statement = json!({ "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": broken.arn("sqs", "user-service"),
        "Condition": { "ArnEquals": { "aws:SourceArn": [broken.arn("sns", "other")] } } });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    broken.set("user-service", "Policy", &policy.to_string()).await;
    broken.mends("queue-policy", "error").await;

    let url = broken.url("user-service").await;
    let untag = [("Action", "UntagQueue"), ("QueueUrl", url.as_str()), ("TagKey.1", "waypost-installation")];
    ask("sqs", &untag).await;
    broken.mends("mark", "warning").await;

    // Of two that take turns with one queue, each would undo what the other sets; applying is refused as well.
    let tag = [
        ("Action", "TagQueue"),
        ("QueueUrl", url.as_str()),
        ("Tag.1.Key", "waypost-installation"),
        ("Tag.1.Value", "/other-"),
    ];
    ask("sqs", &tag).await;
    let (code, checks) = broken.0.doctor(&[]).await;
    assert_eq!((code, checks.findings("mark").len()), (1, 1));
    assert_eq!(checks.findings("mark")[0]["remedy"], "export WAYPOST_NAME_PREFIX=another-");
}

#[tokio::test]
async fn a_subscription_that_wraps_filters_wrongly_or_loses_is_found_and_mended() {
    let broken = Broken::healthy().await;
    for (attribute, value, id, severity) in [
        ("RawMessageDelivery", "false", "raw-delivery", "warning"),
        ("FilterPolicy", r#"{"type":["user.left"]}"#, "filter-policy", "error"),
        ("FilterPolicy", r#"{"type":["user.created","user.left"]}"#, "filter-policy", "error"),
        ("FilterPolicyScope", "MessageBody", "filter-scope", "error"),
    ] {
        broken.set_subscription(attribute, value).await;
        broken.mends(id, severity).await;
    }
    let elsewhere = json!({ "deadLetterTargetArn": broken.arn("sqs", "user-service-dlq") });
    broken.set_subscription("RedrivePolicy", &elsewhere.to_string()).await;
    broken.mends("subscription-redrive", "error").await;
}

#[tokio::test]
async fn a_fifo_queue_is_said_to_be_none_that_a_worker_reads() {
    let broken = Broken::healthy().await;
    let name = format!("{}user-service.fifo", broken.bus().prefix);
    let create = [
        ("Action", "CreateQueue"),
        ("QueueName", name.as_str()),
        ("Attribute.1.Name", "FifoQueue"),
        ("Attribute.1.Value", "true"),
    ];
    ask("sqs", &create).await;
    let url = broken.url("user-service.fifo").await;
    let settings = [("SQS_QUEUE_URL", url.as_str())];
    broken.0.is_found_and_mended("queue-kind", "error", &settings).await;
    let url = broken.url("user-service-undelivered").await;
    broken.0.is_found_and_mended("queue-kind", "warning", &[("SQS_QUEUE_URL", &url)]).await;
}

#[tokio::test]
async fn a_call_that_is_refused_is_an_error_with_the_policy_that_allows_it() {
    let broken = Broken::healthy().await;
    let cases: [(&'static [&'static str], &str, &str); 4] = [
        (&["sqs:DeleteMessage"], "may-delete", "sqs:DeleteMessage is refused: AccessDeniedException"),
        (
            &["sqs:ChangeMessageVisibility"],
            "may-extend",
            "sqs:ChangeMessageVisibility is refused: AccessDeniedException",
        ),
        (&["sqs:GetQueueAttributes"], "may-look", "sqs:GetQueueAttributes is refused: AccessDeniedException"),
        (&["sqs:GetQueueUrl"], "may-find", "sqs:GetQueueUrl is refused: AccessDeniedException"),
    ];
    for (actions, id, text) in cases {
        let recorder = Recorder::refusing(actions).await;
        let by = [("LOCALSTACK_ENDPOINT", recorder.endpoint.as_str())];
        let (code, checks) = broken.0.doctor(&by).await;
        assert_eq!(code, 1);
        let found = checks.findings(id);
        assert!(!found.is_empty(), "{id}: {:#?}", checks.all());
        assert_eq!(found[0]["found"], text);
        assert_eq!(found[0]["remedy"], "waypost topology policies user-worker");
        let policy = broken.0.shell(found[0]["remedy"].as_str().unwrap(), &[]).await.1;
        assert!(policy.contains(actions[0]), "{policy}");
        assert_eq!(checks.of("may-receive")["outcome"], "untried");
        assert_eq!(checks.of("may-dead-letter")["outcome"], "untried");
    }
}

/// The environment of a worker is where one would ask, and its role may not compare topics.
#[tokio::test]
async fn who_may_not_compare_the_topology_is_told_what_could_be_seen() {
    let broken = Broken::healthy().await;
    let recorder = Recorder::refusing(&["sns:ListTopics"]).await;
    let by = [("LOCALSTACK_ENDPOINT", recorder.endpoint.as_str())];
    let (code, checks) = broken.0.doctor(&by).await;
    assert_eq!((code, checks.all().len()), (0, 0));
    let topology = checks.of("topology");
    assert_eq!(topology["outcome"], "untried");
    assert!(topology["why"].as_str().unwrap().contains("only who deploys"), "{topology}");
    assert_eq!(checks.of("max-receive-count")["outcome"], "ok");
    assert_eq!(broken.0.shell("waypost doctor --strict", &by).await.0, 1);
}
