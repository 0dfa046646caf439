//! What has to exist on a bus, made and compared.

use fixtures::{TestBus, on_both_buses};
use std::sync::Arc;

use messaging::{
    AwsBus, AwsSettings, Bus, Extra, Kept, Names, PostgresBus, Prune, QueueSettings, Subscriber, Topology,
};
use schemas::EventType;

const HAPPENED: EventType = EventType::new("test.happened");

fn topology(max_receive_count: u32) -> Topology {
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    let subscriber = Subscriber { consumer: "reader".to_owned(), events: [HAPPENED].into(), settings };
    Topology { subscribers: vec![subscriber], published: [EventType::new("test.announced")].into() }
}

on_both_buses!(
    applying_a_topology_twice_changes_nothing_and_drift_is_named,
    several_who_apply_the_same_topology_at_once_make_it_once,
    a_topology_that_is_removed_leaves_nothing_and_can_be_made_again,
    a_consumer_that_is_removed_leaves_topics_and_the_other_consumers_alone,
    pruning_takes_what_is_ours_and_in_no_topology_and_nothing_else,
    a_queue_that_holds_messages_is_pruned_only_when_told_so,
    a_subscription_that_no_handler_wants_any_more_misdelivers_and_is_pruned,
    a_queue_that_somebody_watches_through_is_not_pruned,
    what_is_marked_as_another_installations_is_not_taken,
    what_was_made_without_a_mark_is_marked_and_never_pruned_before,
    a_queue_that_is_not_there_is_named,
    publishing_to_a_topic_that_is_not_there_can_be_tried_again,
);

async fn applying_a_topology_twice_changes_nothing_and_drift_is_named(test: TestBus) {
    let missing = test.bus.verify(&topology(20)).await.unwrap();
    let resources: Vec<_> = missing.iter().map(|d| d.resource.replace(&test.prefix, "")).collect();
    let mut expected = vec![
        "topic test-announced",
        "topic test-happened",
        "queue reader-dlq",
        "queue reader-undelivered",
        "queue reader",
        "subscription test-happened → reader",
    ];
    if test.is_embedded() {
        expected.retain(|resource| *resource != "queue reader-undelivered");
    }
    assert_eq!(resources, expected);
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), missing);
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), []);

    let drift = test.bus.verify(&topology(7)).await.unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!(drift[0].setting, "RedrivePolicy");
    test.bus.apply(&topology(7)).await.unwrap();
    assert_eq!(test.bus.verify(&topology(7)).await.unwrap(), []);
}

async fn publishing_to_a_topic_that_is_not_there_can_be_tried_again(test: TestBus) {
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    let results = test.bus.publisher().publish("test.happened", &[message]).await;
    let Err(messaging::EntryError::Unavailable { code, message }) = &results[0] else { panic!("{results:?}") };
    assert_eq!(code, "NoTopic");
    assert!(message.contains("waypost topology apply"), "{message}");
}

async fn several_who_apply_the_same_topology_at_once_make_it_once(test: TestBus) {
    let topology = topology(20);
    let (one, two, three) =
        tokio::join!(test.bus.apply(&topology), test.bus.apply(&topology), test.bus.apply(&topology));
    for applied in [one, two, three] {
        applied.unwrap();
    }
    assert_eq!(test.bus.verify(&topology).await.unwrap(), []);
}

async fn a_topology_that_is_removed_leaves_nothing_and_can_be_made_again(test: TestBus) {
    let missing = test.bus.verify(&topology(20)).await.unwrap();
    test.bus.apply(&topology(20)).await.unwrap();
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    test.queue("reader").await.send(&[message]).await[0].as_ref().unwrap();
    test.bus.remove(&topology(20)).await.unwrap();
    assert_eq!(test.bus.verify(&topology(20)).await.unwrap(), missing);
    test.bus.remove(&topology(20)).await.unwrap();
}

async fn a_consumer_that_is_removed_leaves_topics_and_the_other_consumers_alone(test: TestBus) {
    let staying = topology(20);
    // Its name begins as the other's does.
    let leaving = Subscriber { consumer: "reader-2".to_owned(), ..staying.subscribers[0].clone() };
    let both =
        Topology { subscribers: [staying.subscribers.clone(), vec![leaving.clone()]].concat(), ..staying.clone() };
    test.bus.apply(&both).await.unwrap();
    for _ in 0..2 {
        test.bus.remove_subscriber(&leaving).await.unwrap();
        assert_eq!(test.bus.verify(&staying).await.unwrap(), []);
        let missing = test.bus.verify(&both).await.unwrap();
        let missing: Vec<_> = missing.iter().map(|found| found.resource.replace(&test.prefix, "")).collect();
        let mut gone = vec![
            "queue reader-2-dlq",
            "queue reader-2-undelivered",
            "queue reader-2",
            "subscription test-happened → reader-2",
        ];
        if test.is_embedded() {
            gone.retain(|resource| *resource != "queue reader-2-undelivered");
        }
        assert_eq!(missing, gone);
    }

    let message = messaging::OutgoingMessage {
        body: "m".to_owned(),
        attributes: [("type".to_owned(), HAPPENED.as_str().to_owned())].into(),
    };
    test.bus.publisher().publish(HAPPENED.as_str(), &[message]).await[0].as_ref().unwrap();
    fixtures::eventually("the message is with who stays", async || {
        (test.queue("reader").await.counts().await.unwrap().visible == 1).then_some(())
    })
    .await;
    // Once more beside the other: nothing of the first remains.
    test.bus.apply(&both).await.unwrap();
    assert_eq!(test.queue("reader-2").await.counts().await.unwrap().visible, 0);
    // One who was never made, in an installation that has no topic either.
    let stranger =
        Subscriber { consumer: "stranger".to_owned(), events: [EventType::new("test.unheard")].into(), ..leaving };
    test.bus.remove_subscriber(&stranger).await.unwrap();
}

fn subscriber(consumer: &str) -> Subscriber {
    Subscriber { consumer: consumer.to_owned(), ..topology(20).subscribers.remove(0) }
}

/// With one more consumer, that listens to a topic which nobody else has.
fn with_leaver() -> Topology {
    let mut both = topology(20);
    both.subscribers.push(Subscriber { events: [HAPPENED, LEFT].into(), ..subscriber("leaver") });
    both
}

const LEFT: EventType = EventType::new("test.left");
const WITH_MESSAGES: Prune = Prune { with_messages: true };

/// What is extra, without the prefix and what only SNS has.
fn extras(test: &TestBus, extras: &[Extra]) -> Vec<String> {
    let resources = extras.iter().map(|extra| extra.resource.to_string().replace(&test.prefix, ""));
    resources.filter(|resource| !resource.contains("undelivered")).collect()
}

async fn send(test: &TestBus, queue: &str) {
    let message = messaging::OutgoingMessage { body: "m".to_owned(), ..Default::default() };
    test.queue(queue).await.send(&[message]).await[0].as_ref().unwrap();
}

/// Another installation on the same bus.
async fn beside(test: &TestBus, prefix: &str) -> Arc<dyn Bus> {
    let variable = |name| test.environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let names = Names::with_prefix(prefix);
    if let Some(url) = variable("BUS_DATABASE_URL") {
        return Arc::new(PostgresBus::new(sqlx::PgPool::connect(&url).await.unwrap(), names));
    }
    let (endpoint, region) = (variable("LOCALSTACK_ENDPOINT"), Some("us-east-1".to_owned()));
    Arc::new(AwsBus::new(AwsSettings { endpoint, region, names, ..AwsSettings::default() }).await)
}

async fn pruning_takes_what_is_ours_and_in_no_topology_and_nothing_else(test: TestBus) {
    // Its names begin with ours.
    let longer = beside(&test, &format!("{}too-", test.prefix)).await;
    longer.apply(&with_leaver()).await.unwrap();
    test.bus.apply(&with_leaver()).await.unwrap();
    assert_eq!(test.bus.extras(&with_leaver(), Prune::default()).await.unwrap(), []);

    let gone = [
        "subscription test-happened → leaver",
        "subscription test-left → leaver",
        "queue leaver",
        "queue leaver-dlq",
        "topic test-left",
    ];
    // Applying leaves them, and they are no drift.
    assert_eq!(test.bus.apply(&topology(20)).await.unwrap(), []);
    let found = test.bus.extras(&topology(20), Prune::default()).await.unwrap();
    assert_eq!(extras(&test, &found), gone);
    assert!(found.iter().all(|extra| extra.kept.is_none() && !extra.misdelivers), "{found:?}");

    assert_eq!(test.bus.prune(&topology(20), Prune::default()).await.unwrap(), found);
    assert_eq!(test.bus.extras(&topology(20), Prune::default()).await.unwrap(), []);
    assert_eq!(test.bus.verify(&topology(20)).await.unwrap(), []);
    let missing = test.bus.verify(&with_leaver()).await.unwrap();
    assert_eq!(missing.len(), if test.is_embedded() { 5 } else { 6 }, "{missing:?}");
    assert_eq!(longer.verify(&with_leaver()).await.unwrap(), []);
}

async fn a_queue_that_holds_messages_is_pruned_only_when_told_so(test: TestBus) {
    test.bus.apply(&with_leaver()).await.unwrap();
    send(&test, "leaver-dlq").await;
    let kept = |found: &[Extra]| -> Vec<_> {
        found.iter().filter(|extra| extra.kept.is_some()).map(|extra| extra.resource.to_string()).collect()
    };
    let found = test.bus.prune(&topology(20), Prune::default()).await.unwrap();
    assert_eq!(kept(&found), [format!("queue {}leaver-dlq", test.prefix)]);
    let counts = messaging::Counts { visible: 1, in_flight: 0 };
    assert!(found.iter().any(|extra| extra.kept == Some(Kept::HoldsMessages(counts))), "{found:?}");
    assert_eq!(test.queue("leaver-dlq").await.counts().await.unwrap(), counts);

    assert_eq!(kept(&test.bus.prune(&topology(20), WITH_MESSAGES).await.unwrap()), Vec::<String>::new());
    assert_eq!(test.bus.extras(&topology(20), Prune::default()).await.unwrap(), []);
}

async fn a_subscription_that_no_handler_wants_any_more_misdelivers_and_is_pruned(test: TestBus) {
    let mut before = topology(20);
    before.subscribers[0].events.insert(LEFT);
    before.published.insert(LEFT);
    let after = Topology { published: before.published.clone(), ..topology(20) };
    test.bus.apply(&before).await.unwrap();
    let found = test.bus.extras(&after, Prune::default()).await.unwrap();
    assert_eq!(extras(&test, &found), ["subscription test-left → reader"]);
    assert!(found[0].misdelivers);
    // It goes although the queue that it feeds holds something.
    send(&test, "reader").await;
    test.bus.prune(&after, Prune::default()).await.unwrap();
    assert_eq!(test.bus.extras(&after, Prune::default()).await.unwrap(), []);
    assert_eq!(test.queue("reader").await.counts().await.unwrap().visible, 1);
}

async fn a_queue_that_somebody_watches_through_is_not_pruned(test: TestBus) {
    test.bus.apply(&topology(20)).await.unwrap();
    let tail = Topology { subscribers: vec![subscriber("tail-1")], ..Topology::default() };
    test.bus.apply(&tail).await.unwrap();
    let left = test.bus.prune(&topology(20), WITH_MESSAGES).await.unwrap();
    assert!(left.iter().all(|extra| extra.kept.is_some()), "{left:?}");
    assert!(left.iter().any(|extra| matches!(extra.kept, Some(Kept::Temporary { .. }))), "{left:?}");
    assert_eq!(test.bus.verify(&tail).await.unwrap(), []);
}

async fn what_is_marked_as_another_installations_is_not_taken(test: TestBus) {
    let ours = Topology { subscribers: vec![subscriber("b-reader")], ..Topology::default() };
    test.bus.apply(&ours).await.unwrap();
    // Its names run together with ours.
    let other = beside(&test, &format!("{}b-", test.prefix)).await;
    let error = other.apply(&topology(20)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("could not take queue {}b-reader-dlq", test.prefix));
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert!(cause.contains(&format!("installation `/{}`", test.prefix)), "{cause}");
    assert_eq!(test.bus.verify(&ours).await.unwrap(), []);
    assert_eq!(other.extras(&Topology::default(), WITH_MESSAGES).await.unwrap(), []);
}

/// As it was made by an older release, or by hand.
async fn what_was_made_without_a_mark_is_marked_and_never_pruned_before(test: TestBus) {
    test.bus.apply(&topology(20)).await.unwrap();
    unmark(&test).await;
    let (empty, all) = (Topology::default(), topology(20));
    assert_eq!(test.bus.extras(&empty, WITH_MESSAGES).await.unwrap(), []);
    let drift = test.bus.verify(&all).await.unwrap();
    let marks = if test.is_embedded() { 2 + 2 } else { 2 * (2 + 3) };
    assert_eq!(drift.len(), marks, "{drift:?}");
    assert!(drift.iter().all(|found| found.found.is_none() && !found.is_missing()), "{drift:?}");

    test.bus.apply(&all).await.unwrap();
    assert_eq!(test.bus.verify(&all).await.unwrap(), []);
    let resources = test.bus.prune(&empty, Prune::default()).await.unwrap();
    assert_eq!(extras(&test, &resources).len(), 5, "{resources:?}");
    assert_eq!(test.bus.extras(&empty, Prune::default()).await.unwrap(), []);
}

async fn unmark(test: &TestBus) {
    if test.is_embedded() {
        let (_, url) = test.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL").unwrap();
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        for table in ["bus.topics", "bus.queues"] {
            let unmark = sqlx::AssertSqlSafe(format!("UPDATE {table} SET installation = NULL"));
            sqlx::query(unmark).execute(&pool).await.unwrap();
        }
        return;
    }
    let keys = [("1", "managed-by"), ("2", "waypost-installation")];
    let account = "000000000000";
    for topic in ["test-happened", "test-announced"] {
        let arn = format!("arn:aws:sns:us-east-1:{account}:{}{topic}", test.prefix);
        let mut form = vec![("Action", "UntagResource".to_owned()), ("ResourceArn", arn)];
        form.extend(keys.map(|(number, key)| {
            (if number == "1" { "TagKeys.member.1" } else { "TagKeys.member.2" }, key.to_owned())
        }));
        request(test, "sns", &form).await;
    }
    for queue in ["reader", "reader-dlq", "reader-undelivered"] {
        let url = format!("http://localhost:4566/{account}/{}{queue}", test.prefix);
        let mut form = vec![("Action", "UntagQueue".to_owned()), ("QueueUrl", url)];
        form.extend(keys.map(|(number, key)| (if number == "1" { "TagKey.1" } else { "TagKey.2" }, key.to_owned())));
        request(test, "sqs", &form).await;
    }
}

/// What the crate never asks of SNS and SQS. The signature is not checked, but tells which of both is meant.
async fn request(test: &TestBus, service: &str, form: &[(&str, String)]) {
    let (_, endpoint) = test.environment.iter().find(|(name, _)| *name == "LOCALSTACK_ENDPOINT").unwrap();
    let scope = format!("test/20261122/us-east-1/{service}/aws4_request");
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
    let answer = reqwest::Client::new().post(endpoint).header("authorization", signature).form(form).send().await;
    let answer = answer.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn a_queue_that_is_not_there_is_named(test: TestBus) {
    let error = test.bus.queue("nobodys").await.unwrap_err();
    assert!(error.to_string().contains("nobodys"), "{error}");
}
