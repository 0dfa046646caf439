//! What has to exist on SNS and SQS for a topology, as data. Whatever makes, compares or exports it walks this one list.

use std::{collections::BTreeMap, fmt};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::{Names, QueueSettings, Subscriber, Topology, difference::INSTALLATION_TAG};

pub type Attributes = BTreeMap<QueueAttributeName, String>;

/// By which a topic or queue is known as ours.
pub type Tags = BTreeMap<&'static str, String>;

pub fn tags(names: &Names) -> Tags {
    BTreeMap::from([("managed-by", "waypost".to_owned()), (INSTALLATION_TAG, names.installation())])
}

/// How a tag is called beside other settings.
pub fn tag_setting(name: &str) -> String {
    format!("tag {name}")
}

/// Whose topics and queues they are: what an ARN says beside the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    pub region: String,
    pub account: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic { name: String },
    Queue { name: String, attributes: Attributes },
    Subscription { topic: String, queue: String, attributes: BTreeMap<&'static str, String> },
}

impl Place {
    /// LocalStack's only account, and the region of its own scripts.
    pub fn localstack() -> Self {
        let [partition, region, account] = ["aws", "us-east-1", "000000000000"].map(str::to_owned);
        Self { partition, region, account }
    }

    /// `*` stands for what is not known, as policies have it.
    pub fn in_region(region: Option<&str>, account: Option<&str>) -> Self {
        let region = region.unwrap_or("*");
        let partition = match region.split('-').collect::<Vec<_>>()[..] {
            ["cn", ..] => "aws-cn",
            ["us", "gov", ..] => "aws-us-gov",
            _ => "aws",
        };
        let [partition, region, account] = [partition, region, account.unwrap_or("*")].map(str::to_owned);
        Self { partition, region, account }
    }

    /// From the ARN of anything there.
    pub fn of(arn: &str) -> Option<Self> {
        let mut parts = arn.split(':');
        let (Some("arn"), Some(partition), Some(_), Some(region), Some(account)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let [partition, region, account] = [partition, region, account].map(str::to_owned);
        Some(Self { partition, region, account })
    }

    pub fn topic(&self, name: &str) -> String {
        self.arn("sns", name)
    }

    pub fn queue(&self, name: &str) -> String {
        self.arn("sqs", name)
    }

    fn arn(&self, service: &str, name: &str) -> String {
        let Self { partition, region, account } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{name}")
    }
}

impl Resource {
    /// Everything that is set on it, tags included.
    pub fn settings(&self, names: &Names) -> BTreeMap<String, String> {
        let tags = tags(names).into_iter().map(|(name, value)| (tag_setting(name), value));
        match self {
            Self::Topic { .. } => tags.collect(),
            Self::Queue { attributes, .. } => {
                attributes.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).chain(tags).collect()
            }
            Self::Subscription { attributes, .. } => {
                attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
            }
        }
    }
}

/// In the order in which they can be made: each refers to earlier ones only, or by name.
pub fn resources(topology: &Topology, names: &Names, place: &Place) -> Vec<Resource> {
    let topics = topology.topics().into_iter();
    let mut all: Vec<_> = topics.map(|event| Resource::Topic { name: names.topic(event.as_str()) }).collect();
    for subscriber in &topology.subscribers {
        all.extend(queues(subscriber, names, place));
        let undelivered = place.queue(&names.undelivered_queue(&subscriber.consumer));
        all.extend(subscriber.events.iter().map(|event| Resource::Subscription {
            topic: names.topic(event.as_str()),
            queue: names.queue(&subscriber.consumer),
            attributes: subscription(event.as_str(), &undelivered),
        }));
    }
    all
}

fn queues(subscriber: &Subscriber, names: &Names, place: &Place) -> [Resource; 3] {
    let Subscriber { consumer, events, settings } = subscriber;
    let name = names.queue(consumer);
    let topics: Vec<_> = events.iter().map(|event| place.topic(&names.topic(event.as_str()))).collect();
    let (dead_letters, undelivered) = (names.dead_letter_queue(consumer), names.undelivered_queue(consumer));
    [
        Resource::Queue { attributes: dead_letter_queue(*settings, &place.queue(&name)), name: dead_letters.clone() },
        Resource::Queue {
            attributes: undelivered_queue(*settings, &place.queue(&undelivered), &topics),
            name: undelivered,
        },
        Resource::Queue {
            attributes: queue(*settings, &place.queue(&dead_letters), &place.queue(&name), &topics),
            name,
        },
    ]
}

fn queue(settings: QueueSettings, dead_letters: &str, arn: &str, topics: &[String]) -> Attributes {
    let redrive = json!({ "deadLetterTargetArn": dead_letters, "maxReceiveCount": settings.max_receive_count });
    encrypted([
        (QueueAttributeName::VisibilityTimeout, settings.visibility.as_secs().to_string()),
        (QueueAttributeName::MessageRetentionPeriod, settings.retention.as_secs().to_string()),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20".to_owned()),
        (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        (QueueAttributeName::Policy, from_topics(arn, topics)),
    ])
}

/// Takes the dead letters of its one queue, and nobody else's.
fn dead_letter_queue(settings: QueueSettings, source: &str) -> Attributes {
    let allow = json!({ "redrivePermission": "byQueue", "sourceQueueArns": [source] });
    encrypted([
        (QueueAttributeName::MessageRetentionPeriod, settings.dead_letter_retention.as_secs().to_string()),
        (QueueAttributeName::RedriveAllowPolicy, allow.to_string()),
    ])
}

fn undelivered_queue(settings: QueueSettings, arn: &str, topics: &[String]) -> Attributes {
    encrypted([
        (QueueAttributeName::MessageRetentionPeriod, settings.dead_letter_retention.as_secs().to_string()),
        (QueueAttributeName::Policy, from_topics(arn, topics)),
    ])
}

/// With keys that SQS manages, for which nobody needs a permission.
fn encrypted<const N: usize>(attributes: [(QueueAttributeName, String); N]) -> Attributes {
    let encryption = (QueueAttributeName::SqsManagedSseEnabled, "true".to_owned());
    attributes.into_iter().chain([encryption]).collect()
}

/// Only SNS, and only for these topics: without the condition anybody's topic could feed the queue.
fn from_topics(queue: &str, topics: &[String]) -> String {
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "topics",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": { "ArnEquals": { "aws:SourceArn": topics } }
        }]
    });
    policy.to_string()
}

/// Filters by attributes of the message, not by its body: `type`, as every producer here sets it.
fn subscription(event: &str, undelivered: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("RawMessageDelivery", "true".to_owned()),
        ("FilterPolicyScope", "MessageAttributes".to_owned()),
        ("FilterPolicy", json!({ "type": [event] }).to_string()),
        ("RedrivePolicy", json!({ "deadLetterTargetArn": undelivered }).to_string()),
    ])
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { name } => write!(f, "topic {name}"),
            Self::Queue { name, .. } => write!(f, "queue {name}"),
            Self::Subscription { topic, queue, .. } => write!(f, "subscription {topic} → {queue}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_where_it_is_and_anything_else_does_not() {
        let place = Place::of("arn:aws-cn:sns:cn-north-1:123456789012:user-created").unwrap();
        assert_eq!(place.queue("reader"), "arn:aws-cn:sqs:cn-north-1:123456789012:reader");
        assert_eq!(Place::in_region(Some("cn-north-1"), Some("123456789012")), place);
        let unknown = Place::in_region(Some("us-gov-west-1"), None).topic("user-created");
        assert_eq!(unknown, "arn:aws-us-gov:sns:us-gov-west-1:*:user-created");
        for text in ["", "user-created", "arn:aws:sns", "urn:aws:sns:us-east-1:1:x"] {
            assert_eq!(Place::of(text), None, "{text}");
        }
    }
}
