//! Making SNS and SQS match a [`Topology`], and saying where they don't.
//!
//! Both walk the same list of resources.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::connect::AwsBus;
use crate::{BusError, Difference, QueueSettings, Subscriber, Topology, TopologyError};

/// Subscription filters are attributes of the message, not of its body: `type`, as every producer here sets it.
const FILTER_SCOPE: &str = "MessageAttributes";

impl AwsBus {
    pub(super) async fn apply_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let before = self.verify_topology(topology).await?;
        if before.is_empty() {
            return Ok(before);
        }
        let mut arns = HashMap::new();
        for event in topology.topics() {
            let name = self.names.topic(event.as_str());
            arns.insert(event, self.create_topic(&name).await?);
        }
        for subscriber in &topology.subscribers {
            let dead_letters = self.names.dead_letter_queue(&subscriber.consumer);
            let dlq = self.create_queue(&dead_letters, &dead_letter_attributes(subscriber.settings)).await?;

            let topics: Vec<_> = subscriber.events.iter().map(|event| arns[event].clone()).collect();
            let name = self.names.queue(&subscriber.consumer);
            let queue_arn = sibling_arn(&dlq.arn, &name);
            let attributes = queue_attributes(subscriber.settings, &dlq.arn, &queue_arn, &topics);
            let queue = self.create_queue(&name, &attributes).await?;
            for event in &subscriber.events {
                self.subscribe(&arns[event], &queue.arn, event.as_str()).await?;
            }
        }
        Ok(before)
    }

    pub(super) async fn remove_topology(&self, topology: &Topology) -> Result<(), TopologyError> {
        for subscriber in &topology.subscribers {
            let consumer = &subscriber.consumer;
            for name in [self.names.queue(consumer), self.names.dead_letter_queue(consumer)] {
                if let Some(queue) = self.find_queue(&name).await? {
                    let deleted = self.settling.delete_queue().queue_url(&queue.url).send().await;
                    deleted.map_err(|error| failed(&format!("delete queue {name}"), "DeleteQueue", &name, error))?;
                }
            }
        }
        let arns = self.topic_arns().await?;
        for name in topology.topics().into_iter().map(|event| self.names.topic(event.as_str())) {
            if let Some(arn) = arns.get(&name) {
                let deleted = self.sns.delete_topic().topic_arn(arn).send().await;
                deleted.map_err(|error| failed(&format!("delete topic {name}"), "DeleteTopic", &name, error))?;
            }
        }
        Ok(())
    }

    pub(super) async fn verify_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let topics = self.topic_arns().await?;
        let mut differences = Vec::new();
        for event in topology.topics() {
            let name = self.names.topic(event.as_str());
            if !topics.contains_key(&name) {
                differences.push(Difference::missing(format!("topic {name}")));
            }
        }
        for subscriber in &topology.subscribers {
            self.verify_subscriber(subscriber, &topics, &mut differences).await?;
        }
        Ok(differences)
    }

    async fn verify_subscriber(
        &self,
        subscriber: &Subscriber,
        topics: &HashMap<String, String>,
        differences: &mut Vec<Difference>,
    ) -> Result<(), TopologyError> {
        let dead_letters = self.names.dead_letter_queue(&subscriber.consumer);
        let dlq = self.find_queue(&dead_letters).await?;
        compare(&dead_letters, &dead_letter_attributes(subscriber.settings), dlq.as_ref(), differences);

        let name = self.names.queue(&subscriber.consumer);
        let queue = self.find_queue(&name).await?;
        let arns: Vec<_> = subscriber
            .events
            .iter()
            .filter_map(|event| topics.get(&self.names.topic(event.as_str())).cloned())
            .collect();
        let (queue_arn, dlq_arn) = match (&queue, &dlq) {
            (Some(queue), Some(dlq)) => (queue.arn.clone(), dlq.arn.clone()),
            (Some(queue), None) => (queue.arn.clone(), sibling_arn(&queue.arn, &dead_letters)),
            (None, _) => (String::new(), String::new()),
        };
        let expected = queue_attributes(subscriber.settings, &dlq_arn, &queue_arn, &arns);
        compare(&name, &expected, queue.as_ref(), differences);

        for event in &subscriber.events {
            let topic = self.names.topic(event.as_str());
            let resource = format!("subscription {topic} → {name}");
            let found = match (topics.get(&topic), &queue) {
                (Some(topic_arn), Some(queue)) => self.find_subscription(topic_arn, &queue.arn).await?,
                _ => None,
            };
            let Some(found) = found else {
                differences.push(Difference::missing(resource));
                continue;
            };
            for (setting, expected) in subscription_attributes(event.as_str()) {
                let actual = found.get(setting);
                if actual.map(|text| normal(text)) != Some(normal(&expected)) {
                    let (setting, found) = (setting.to_owned(), actual.cloned());
                    differences.push(Difference { resource: resource.clone(), setting, expected, found });
                }
            }
        }
        Ok(())
    }

    async fn topic_arns(&self) -> Result<HashMap<String, String>, TopologyError> {
        let mut pages = self.sns.list_topics().into_paginator().items().send();
        let mut arns = HashMap::new();
        while let Some(topic) = pages.next().await {
            let topic = topic.map_err(|error| failed("list topics", "ListTopics", "SNS", error))?;
            if let Some(arn) = topic.topic_arn
                && let Some((_, name)) = arn.rsplit_once(':')
            {
                arns.insert(name.to_owned(), arn);
            }
        }
        Ok(arns)
    }

    async fn create_topic(&self, name: &str) -> Result<String, TopologyError> {
        let what = format!("create topic {name}");
        let created = self.sns.create_topic().name(name).send().await;
        let created = created.map_err(|error| failed(&what, "CreateTopic", name, error))?;
        created.topic_arn.ok_or_else(|| failed(&what, "CreateTopic", name, "the answer holds no ARN"))
    }

    async fn find_queue(&self, name: &str) -> Result<Option<FoundQueue>, TopologyError> {
        let what = format!("look at queue {name}");
        let found = match self.settling.get_queue_url().queue_name(name).send().await {
            Ok(found) => found,
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| code.contains("NonExistentQueue") || code == "QueueDoesNotExist") =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(&what, "GetQueueUrl", name, error)),
        };
        let url = found.queue_url.unwrap_or_default();
        let answer =
            self.settling.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await;
        let answer = answer.map_err(|error| failed(&what, "GetQueueAttributes", name, error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let arn = attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
        Ok(Some(FoundQueue { url, arn, attributes }))
    }

    async fn create_queue(&self, name: &str, attributes: &Attributes) -> Result<FoundQueue, TopologyError> {
        let what = format!("create queue {name}");
        if self.find_queue(name).await?.is_none() {
            let created = self.settling.create_queue().queue_name(name).send().await;
            created.map_err(|error| failed(&what, "CreateQueue", name, error))?;
        }
        let found = self.find_queue(name).await?;
        let found = found.ok_or_else(|| failed(&what, "CreateQueue", name, "the new queue can't be found"))?;
        // Set apart from creating, so that one path serves new and existing queues.
        let wanted = attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let set = self.settling.set_queue_attributes().queue_url(&found.url).set_attributes(Some(wanted)).send().await;
        set.map_err(|error| failed(&what, "SetQueueAttributes", name, error))?;
        Ok(found)
    }

    async fn find_subscription(
        &self,
        topic_arn: &str,
        queue_arn: &str,
    ) -> Result<Option<HashMap<String, String>>, TopologyError> {
        let what = format!("look at the subscriptions of {topic_arn}");
        let mut pages = self.sns.list_subscriptions_by_topic().topic_arn(topic_arn).into_paginator().items().send();
        while let Some(subscription) = pages.next().await {
            let subscription =
                subscription.map_err(|error| failed(&what, "ListSubscriptionsByTopic", topic_arn, error))?;
            if subscription.endpoint.as_deref() == Some(queue_arn) {
                let arn = subscription.subscription_arn.unwrap_or_default();
                let answer = self.sns.get_subscription_attributes().subscription_arn(&arn).send().await;
                let answer = answer.map_err(|error| failed(&what, "GetSubscriptionAttributes", &arn, error))?;
                let mut attributes = answer.attributes.unwrap_or_default();
                attributes.insert("SubscriptionArn".to_owned(), arn);
                return Ok(Some(attributes));
            }
        }
        Ok(None)
    }

    async fn subscribe(&self, topic_arn: &str, queue_arn: &str, event: &str) -> Result<(), TopologyError> {
        let what = format!("subscribe {queue_arn} to {topic_arn}");
        let wanted = subscription_attributes(event);
        if let Some(found) = self.find_subscription(topic_arn, queue_arn).await? {
            for (name, value) in wanted {
                let set = self.sns.set_subscription_attributes().subscription_arn(&found["SubscriptionArn"]);
                let set = set.attribute_name(name).attribute_value(value).send().await;
                set.map_err(|error| failed(&what, "SetSubscriptionAttributes", topic_arn, error))?;
            }
            return Ok(());
        }
        let request = self.sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(queue_arn);
        let request =
            wanted.into_iter().fold(request, |request, (name, value)| request.attributes(name.to_owned(), value));
        request.send().await.map(drop).map_err(|error| failed(&what, "Subscribe", topic_arn, error))
    }
}

pub(super) type Attributes = BTreeMap<QueueAttributeName, String>;

struct FoundQueue {
    url: String,
    arn: String,
    attributes: HashMap<QueueAttributeName, String>,
}

pub(super) fn dead_letter_attributes(settings: QueueSettings) -> Attributes {
    BTreeMap::from([(QueueAttributeName::MessageRetentionPeriod, settings.dead_letter_retention.as_secs().to_string())])
}

pub(super) fn queue_attributes(
    settings: QueueSettings,
    dlq_arn: &str,
    queue_arn: &str,
    topics: &[String],
) -> Attributes {
    let redrive = json!({ "deadLetterTargetArn": dlq_arn, "maxReceiveCount": settings.max_receive_count });
    // Only SNS, and only for these topics: without the condition anybody's topic could feed the queue.
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "topics",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": { "ArnEquals": { "aws:SourceArn": topics } }
        }]
    });
    BTreeMap::from([
        (QueueAttributeName::VisibilityTimeout, settings.visibility.as_secs().to_string()),
        (QueueAttributeName::MessageRetentionPeriod, settings.retention.as_secs().to_string()),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20".to_owned()),
        (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        (QueueAttributeName::Policy, policy.to_string()),
    ])
}

pub(super) fn subscription_attributes(event: &str) -> [(&'static str, String); 3] {
    [
        ("RawMessageDelivery", "true".to_owned()),
        ("FilterPolicyScope", FILTER_SCOPE.to_owned()),
        ("FilterPolicy", json!({ "type": [event] }).to_string()),
    ]
}

fn compare(name: &str, expected: &Attributes, found: Option<&FoundQueue>, differences: &mut Vec<Difference>) {
    let resource = format!("queue {name}");
    let Some(found) = found else {
        differences.push(Difference::missing(resource));
        return;
    };
    for (setting, value) in expected {
        let actual = found.attributes.get(setting);
        if actual.map(|text| normal(text)) != Some(normal(value)) {
            differences.push(Difference {
                resource: resource.clone(),
                setting: setting.as_str().to_owned(),
                expected: value.clone(),
                found: actual.cloned(),
            });
        }
    }
}

/// Policies come back with other spacing, order, or numbers as strings.
fn normal(text: &str) -> Value {
    fn settle(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, settle(value))).collect(),
            Value::Array(items) => {
                let mut items: Vec<_> = items.into_iter().map(settle).collect();
                items.sort_by_key(ToString::to_string);
                if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
            }
            Value::Number(number) => Value::from(number.to_string()),
            other => other,
        }
    }
    serde_json::from_str(text).map_or_else(|_| Value::from(text), settle)
}

fn sibling_arn(arn: &str, name: &str) -> String {
    arn.rsplit_once(':').map_or_else(|| name.to_owned(), |(account, _)| format!("{account}:{name}"))
}

fn failed(
    what: &str,
    operation: &'static str,
    target: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TopologyError {
    TopologyError { what: what.to_owned(), source: BusError::new(operation, target, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_compare_by_meaning() {
        assert_eq!(normal(r#"{"a":["x"],"b":"20"}"#), normal(r#"{ "b": 20, "a": "x" }"#));
        assert_eq!(normal(r#"["b","a"]"#), normal(r#"["a","b"]"#));
        assert_ne!(normal(r#"{"a":["x","y"]}"#), normal(r#"{"a":["x"]}"#));
        assert_eq!(normal("60"), normal("60"));
        assert_ne!(normal("60"), normal("30"));
    }
}
