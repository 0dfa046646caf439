//! The requests that look at topics, queues and subscriptions, and change them. What isn't there is an answer, no error.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::{
    error::{ProvideErrorMetadata, SdkError},
    types::Tag,
};
use aws_sdk_sqs::types::QueueAttributeName;

use super::{
    connect::AwsBus,
    resources::{Attributes, Tags},
};
use crate::{BusError, TopologyError};

impl AwsBus {
    pub(super) async fn topic_arns(&self) -> Result<HashMap<String, String>, TopologyError> {
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

    pub(super) async fn create_topic(&self, name: &str) -> Result<String, TopologyError> {
        let what = format!("create topic {name}");
        let created = self.sns.create_topic().name(name).send().await;
        let created = created.map_err(|error| failed(&what, "CreateTopic", name, error))?;
        created.topic_arn.ok_or_else(|| failed(&what, "CreateTopic", name, "the answer holds no ARN"))
    }

    pub(super) async fn find_queue(&self, name: &str) -> Result<Option<FoundQueue>, TopologyError> {
        self.read_queue(name, None).await.map_err(|unread| {
            let source = match unread {
                Unread::Denied { call, code } => BusError::new(call, name, code),
                Unread::Failed(source) => source,
            };
            TopologyError { what: format!("look at queue {name}"), source }
        })
    }

    /// At `url` where that is known already.
    pub(super) async fn read_queue(&self, name: &str, url: Option<&str>) -> Result<Option<FoundQueue>, Unread> {
        let url = if let Some(url) = url {
            url.to_owned()
        } else {
            match self.settling.get_queue_url().queue_name(name).send().await {
                Ok(found) => found.queue_url.unwrap_or_default(),
                Err(error) if error.code().is_some_and(is_no_queue) => return Ok(None),
                Err(error) => return Err(Unread::of("GetQueueUrl", name, error)),
            }
        };
        let request = self.settling.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
        match request.send().await {
            Ok(answer) => {
                let attributes = answer.attributes.unwrap_or_default().into_iter();
                let attributes = attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect();
                Ok(Some(FoundQueue { url, attributes }))
            }
            Err(error) if error.code().is_some_and(is_no_queue) => Ok(None),
            Err(error) => Err(Unread::of("GetQueueAttributes", name, error)),
        }
    }

    /// `None`: there is no such topic.
    pub(super) async fn topic_tags(&self, arn: &str) -> Result<Option<HashMap<String, String>>, TopologyError> {
        match self.sns.list_tags_for_resource().resource_arn(arn).send().await {
            Ok(found) => {
                let tags = found.tags.unwrap_or_default().into_iter();
                Ok(Some(tags.map(|tag| (tag.key, tag.value)).collect()))
            }
            Err(error) if error.code().is_some_and(is_nothing) => Ok(None),
            Err(error) => Err(failed(&format!("look at the tags of {arn}"), "ListTagsForResource", arn, error)),
        }
    }

    pub(super) async fn tag_topic(&self, arn: &str, tags: &Tags) -> Result<(), TopologyError> {
        let tags = tags.iter().map(|(name, value)| Tag::builder().key(*name).value(value).build());
        let tags = tags.collect::<Result<_, _>>().map_err(|error| failed("tag a topic", "TagResource", arn, error))?;
        let tagged = self.sns.tag_resource().resource_arn(arn).set_tags(Some(tags)).send().await;
        tagged.map(drop).map_err(|error| failed(&format!("tag {arn}"), "TagResource", arn, error))
    }

    /// `None`: there is no such queue.
    pub(super) async fn queue_tags(
        &self,
        url: &str,
        name: &str,
    ) -> Result<Option<HashMap<String, String>>, TopologyError> {
        match self.settling.list_queue_tags().queue_url(url).send().await {
            Ok(found) => Ok(Some(found.tags.unwrap_or_default())),
            Err(error) if error.code().is_some_and(is_no_queue) => Ok(None),
            Err(error) => Err(failed(&format!("look at the tags of queue {name}"), "ListQueueTags", name, error)),
        }
    }

    pub(super) async fn tag_queue(&self, url: &str, name: &str, tags: &Tags) -> Result<(), TopologyError> {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let tagged = self.settling.tag_queue().queue_url(url).set_tags(Some(tags)).send().await;
        tagged.map(drop).map_err(|error| failed(&format!("tag queue {name}"), "TagQueue", name, error))
    }

    /// URLs of all queues whose names begin with the installation's prefix, by name.
    pub(super) async fn queue_urls(&self) -> Result<BTreeMap<String, String>, TopologyError> {
        let prefix = Some(self.names.prefix().to_owned()).filter(|prefix| !prefix.is_empty());
        let request = self.settling.list_queues().set_queue_name_prefix(prefix).max_results(1000);
        let mut pages = request.into_paginator().items().send();
        let mut urls = BTreeMap::new();
        while let Some(url) = pages.next().await {
            let url = url.map_err(|error| failed("list queues", "ListQueues", "SQS", error))?;
            if let Some((_, name)) = url.rsplit_once('/') {
                urls.insert(name.to_owned(), url);
            }
        }
        Ok(urls)
    }

    pub(super) async fn delete_topic(&self, name: &str, arn: &str) -> Result<(), TopologyError> {
        let deleted = self.sns.delete_topic().topic_arn(arn).send().await;
        deleted.map(drop).map_err(|error| failed(&format!("delete topic {name}"), "DeleteTopic", name, error))
    }

    /// Where somebody else was faster, it is gone all the same.
    pub(super) async fn delete_queue(&self, name: &str) -> Result<(), TopologyError> {
        let Some(queue) = self.find_queue(name).await? else { return Ok(()) };
        match self.settling.delete_queue().queue_url(&queue.url).send().await {
            Err(error) if !error.code().is_some_and(is_no_queue) => {
                Err(failed(&format!("delete queue {name}"), "DeleteQueue", name, error))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn unsubscribe(&self, subscription: &str) -> Result<(), TopologyError> {
        match self.sns.unsubscribe().subscription_arn(subscription).send().await {
            Err(error) if !error.code().is_some_and(is_nothing) => {
                Err(failed(&format!("end subscription {subscription}"), "Unsubscribe", subscription, error))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn create_queue(&self, name: &str, attributes: &Attributes) -> Result<String, TopologyError> {
        let what = format!("create queue {name}");
        if self.find_queue(name).await?.is_none() {
            let created = self.settling.create_queue().queue_name(name).send().await;
            created.map_err(|error| failed(&what, "CreateQueue", name, error))?;
        }
        let found = self.find_queue(name).await?;
        let found = found.ok_or_else(|| failed(&what, "CreateQueue", name, "the new queue can't be found"))?;
        if attributes.is_empty() {
            return Ok(found.url);
        }
        // Set apart from creating, so that one path serves new and existing queues.
        let wanted = attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let set = self.settling.set_queue_attributes().queue_url(&found.url).set_attributes(Some(wanted)).send().await;
        set.map_err(|error| failed(&what, "SetQueueAttributes", name, error))?;
        Ok(found.url)
    }

    pub(super) async fn find_subscription(
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

    /// Of all subscriptions of a topic.
    pub(super) async fn endpoints(&self, topic_arn: &str) -> Result<Vec<String>, TopologyError> {
        let pages = self.sns.list_subscriptions_by_topic().topic_arn(topic_arn).into_paginator().items().send();
        let subscriptions: Vec<_> = match pages.collect::<Result<_, _>>().await {
            Ok(subscriptions) => subscriptions,
            Err(error) if error.code().is_some_and(is_nothing) => Vec::new(),
            Err(error) => {
                let what = format!("look at the subscriptions of {topic_arn}");
                return Err(failed(&what, "ListSubscriptionsByTopic", topic_arn, error));
            }
        };
        Ok(subscriptions.into_iter().map(|subscription| subscription.endpoint.unwrap_or_default()).collect())
    }

    pub(super) async fn subscribe(
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

/// As SNS says it.
fn is_nothing(code: &str) -> bool {
    code.starts_with("NotFound") || code == "ResourceNotFound"
}

fn is_no_queue(code: &str) -> bool {
    code.contains("NonExistentQueue") || code == "QueueDoesNotExist"
}

pub(super) fn is_denial(code: &str) -> bool {
    code.contains("AccessDenied") || code.contains("AuthorizationError")
}

/// Why a queue could not be looked at.
pub(super) enum Unread {
    Denied { call: &'static str, code: String },
    Failed(BusError),
}

impl Unread {
    fn of<E>(call: &'static str, name: &str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code().filter(|code| is_denial(code)) {
            Some(code) => Self::Denied { call, code: code.to_owned() },
            None => Self::Failed(BusError::new(call, name, error)),
        }
    }
}

pub(super) struct FoundQueue {
    pub url: String,
    pub attributes: HashMap<String, String>,
}

pub(super) fn failed(
    what: &str,
    operation: &'static str,
    target: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TopologyError {
    TopologyError { what: what.to_owned(), source: BusError::new(operation, target, error) }
}
