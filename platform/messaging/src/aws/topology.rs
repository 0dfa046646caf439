//! Making SNS and SQS match a [`Topology`], and saying where they don't.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{
    connect::AwsBus,
    resources::{Attributes, Place, Resource, meaning, resources},
};
use crate::{BusError, Difference, Subscriber, Topology, TopologyError};

impl AwsBus {
    pub(super) async fn apply_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let before = self.verify_topology(topology).await?;
        if before.is_empty() {
            return Ok(before);
        }
        let place = self.learn_place(topology).await?;
        for resource in resources(topology, &self.names, &place) {
            match resource {
                Resource::Topic { name } => drop(self.create_topic(&name).await?),
                Resource::Queue { name, attributes } => self.create_queue(&name, &attributes).await?,
                Resource::Subscription { topic, queue, attributes } => {
                    self.subscribe(&place.topic(&topic), &place.queue(&queue), &attributes).await?;
                }
            }
        }
        Ok(before)
    }

    pub(super) async fn remove_topology(&self, topology: &Topology) -> Result<(), TopologyError> {
        let arns = self.topic_arns().await?;
        for resource in resources(topology, &self.names, &Place::localstack()) {
            match resource {
                Resource::Queue { name, .. } => self.delete_queue(&name).await?,
                Resource::Topic { name } => {
                    if let Some(arn) = arns.get(&name) {
                        let deleted = self.sns.delete_topic().topic_arn(arn).send().await;
                        deleted
                            .map_err(|error| failed(&format!("delete topic {name}"), "DeleteTopic", &name, error))?;
                    }
                }
                // Goes with its topic.
                Resource::Subscription { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) async fn remove_consumer(&self, subscriber: &Subscriber) -> Result<(), TopologyError> {
        let arns = self.topic_arns().await?;
        let topology = Topology { subscribers: vec![subscriber.clone()], ..Topology::default() };
        // Backwards: what delivers to a queue goes before the queue.
        for resource in resources(&topology, &self.names, &Place::localstack()).into_iter().rev() {
            match resource {
                Resource::Subscription { topic, queue, .. } => {
                    let Some((arn, place)) = arns.get(&topic).and_then(|arn| Some((arn, Place::of(arn)?))) else {
                        continue;
                    };
                    if let Some(found) = self.find_subscription(arn, &place.queue(&queue)).await? {
                        self.unsubscribe(&found["SubscriptionArn"]).await?;
                    }
                }
                Resource::Queue { name, .. } => self.delete_queue(&name).await?,
                Resource::Topic { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) async fn verify_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let topics = self.topic_arns().await?;
        let place = self.find_place(topology, &topics).await?;
        // Where nothing is there, all is missing, whoever it would belong to.
        let place = place.unwrap_or_else(Place::localstack);
        let mut differences = Vec::new();
        for resource in resources(topology, &self.names, &place) {
            let (found, expected) = match &resource {
                Resource::Topic { name } => (topics.get(name).map(|_| HashMap::new()), Vec::new()),
                Resource::Queue { name, attributes } => {
                    let found = self.find_queue(name).await?;
                    let expected = attributes.iter().map(|(name, value)| (name.as_str(), value)).collect();
                    (found.map(|queue| queue.attributes), expected)
                }
                Resource::Subscription { topic, queue, attributes } => {
                    let found = match topics.get(topic) {
                        Some(arn) => self.find_subscription(arn, &place.queue(queue)).await?,
                        None => None,
                    };
                    (found, attributes.iter().map(|(name, value)| (*name, value)).collect())
                }
            };
            match found {
                None => differences.push(Difference::missing(resource.to_string())),
                Some(found) => differences.extend(compare(&resource, &expected, &found)),
            }
        }
        Ok(differences)
    }

    /// By anything that is there. An account without topics may still have some of our queues.
    async fn find_place(
        &self,
        topology: &Topology,
        topics: &HashMap<String, String>,
    ) -> Result<Option<Place>, TopologyError> {
        if let Some(arn) = topics.values().next() {
            return Ok(Place::of(arn));
        }
        for resource in resources(topology, &self.names, &Place::localstack()) {
            let Resource::Queue { name, .. } = resource else { continue };
            if let Some(queue) = self.find_queue(&name).await? {
                return Ok(queue.attributes.get("QueueArn").and_then(|arn| Place::of(arn)));
            }
        }
        Ok(None)
    }

    /// By making something that will be needed.
    async fn learn_place(&self, topology: &Topology) -> Result<Place, TopologyError> {
        let (what, arn) = if let Some(event) = topology.topics().first() {
            let name = self.names.topic(event.as_str());
            let arn = self.create_topic(&name).await?;
            (name, arn)
        } else if let Some(subscriber) = topology.subscribers.first() {
            let name = self.names.queue(&subscriber.consumer);
            self.create_queue(&name, &Attributes::new()).await?;
            let queue = self.find_queue(&name).await?;
            let arn = queue.and_then(|queue| queue.attributes.get("QueueArn").cloned()).unwrap_or_default();
            (name, arn)
        } else {
            return Ok(Place::localstack());
        };
        Place::of(&arn).ok_or_else(|| failed("learn the account", "Create", &what, format!("the ARN is `{arn}`")))
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
            Err(error) if error.code().is_some_and(is_no_queue) => return Ok(None),
            Err(error) => return Err(failed(&what, "GetQueueUrl", name, error)),
        };
        let url = found.queue_url.unwrap_or_default();
        let answer =
            self.settling.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await;
        let answer = answer.map_err(|error| failed(&what, "GetQueueAttributes", name, error))?;
        let attributes = answer.attributes.unwrap_or_default().into_iter();
        let attributes = attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect();
        Ok(Some(FoundQueue { url, attributes }))
    }

    /// Where somebody else was faster, it is gone all the same.
    async fn delete_queue(&self, name: &str) -> Result<(), TopologyError> {
        let Some(queue) = self.find_queue(name).await? else { return Ok(()) };
        match self.settling.delete_queue().queue_url(&queue.url).send().await {
            Err(error) if !error.code().is_some_and(is_no_queue) => {
                Err(failed(&format!("delete queue {name}"), "DeleteQueue", name, error))
            }
            _ => Ok(()),
        }
    }

    async fn unsubscribe(&self, subscription: &str) -> Result<(), TopologyError> {
        match self.sns.unsubscribe().subscription_arn(subscription).send().await {
            Err(error) if error.code().is_none_or(|code| !code.starts_with("NotFound")) => {
                Err(failed(&format!("end subscription {subscription}"), "Unsubscribe", subscription, error))
            }
            _ => Ok(()),
        }
    }

    async fn create_queue(&self, name: &str, attributes: &Attributes) -> Result<(), TopologyError> {
        let what = format!("create queue {name}");
        if self.find_queue(name).await?.is_none() {
            let created = self.settling.create_queue().queue_name(name).send().await;
            created.map_err(|error| failed(&what, "CreateQueue", name, error))?;
        }
        let found = self.find_queue(name).await?;
        let found = found.ok_or_else(|| failed(&what, "CreateQueue", name, "the new queue can't be found"))?;
        if attributes.is_empty() {
            return Ok(());
        }
        // Set apart from creating, so that one path serves new and existing queues.
        let wanted = attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let set = self.settling.set_queue_attributes().queue_url(&found.url).set_attributes(Some(wanted)).send().await;
        set.map(drop).map_err(|error| failed(&what, "SetQueueAttributes", name, error))
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

    async fn subscribe(
        &self,
        topic_arn: &str,
        queue_arn: &str,
        wanted: &BTreeMap<&'static str, String>,
    ) -> Result<(), TopologyError> {
        let what = format!("subscribe {queue_arn} to {topic_arn}");
        if let Some(found) = self.find_subscription(topic_arn, queue_arn).await? {
            for (name, value) in wanted {
                let set = self.sns.set_subscription_attributes().subscription_arn(&found["SubscriptionArn"]);
                let set = set.attribute_name(*name).attribute_value(value).send().await;
                set.map_err(|error| failed(&what, "SetSubscriptionAttributes", topic_arn, error))?;
            }
            return Ok(());
        }
        let request = self.sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(queue_arn);
        let request = wanted.iter().fold(request, |request, (name, value)| request.attributes(*name, value));
        request.send().await.map(drop).map_err(|error| failed(&what, "Subscribe", topic_arn, error))
    }
}

fn is_no_queue(code: &str) -> bool {
    code.contains("NonExistentQueue") || code == "QueueDoesNotExist"
}

struct FoundQueue {
    url: String,
    attributes: HashMap<String, String>,
}

fn compare(resource: &Resource, expected: &[(&str, &String)], found: &HashMap<String, String>) -> Vec<Difference> {
    let differs =
        |(setting, value): &&(&str, &String)| found.get(*setting).map(|text| meaning(text)) != Some(meaning(value));
    let differences = expected.iter().filter(differs).map(|(setting, value)| Difference {
        resource: resource.to_string(),
        setting: (*setting).to_owned(),
        expected: (*value).clone(),
        found: found.get(*setting).cloned(),
    });
    differences.collect()
}

fn failed(
    what: &str,
    operation: &'static str,
    target: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TopologyError {
    TopologyError { what: what.to_owned(), source: BusError::new(operation, target, error) }
}
