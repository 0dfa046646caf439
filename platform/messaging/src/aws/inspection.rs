//! A consumer's queues as they are, and what their worker is allowed, tried without doing anything.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry},
};
use serde_json::Value;

use super::{
    connect::AwsBus,
    removing::counts,
    requests::{FoundQueue, Unread, is_denial},
};
use crate::{BusError, ConsumerFacts, Looked, Permission, QueueFacts, RedriveFacts, Tried};

/// No message's: allowed calls answer that the entry's receipt is void, others are refused whole.
const NO_RECEIPT: &str = "waypost-doctor-tries-whether-it-may";

impl AwsBus {
    pub(super) async fn inspect_consumer(&self, consumer: &str) -> Result<ConsumerFacts, BusError> {
        let (queue, dead_letters) = (self.names.queue(consumer), self.names.dead_letter_queue(consumer));
        let (queue, dead_letters) = tokio::try_join!(self.look_at(&queue), self.look_at(&dead_letters))?;
        Ok(ConsumerFacts { queue, dead_letters })
    }

    async fn look_at(&self, name: &str) -> Result<Looked, BusError> {
        let url = self.queue_urls.get(name).map(String::as_str);
        match self.read_queue(name, url).await {
            Ok(Some(queue)) => Ok(Looked::Found(Box::new(facts(name, queue)))),
            Ok(None) => Ok(Looked::Missing),
            Err(Unread::Denied { call, code }) => Ok(Looked::Denied { call, code }),
            Err(Unread::Failed(error)) => Err(error),
        }
    }

    /// A receive takes messages that others should have, and a send leaves one behind, so these two are not tried.
    pub(super) async fn try_permissions_of(&self, consumer: &str) -> Result<Vec<Permission>, BusError> {
        let (queue, dead_letters) = (self.names.queue(consumer), self.names.dead_letter_queue(consumer));
        let mut permissions = Vec::new();
        let mut note = |action, queue: &str, tried| {
            permissions.push(Permission { action, queue: queue.to_owned(), tried });
        };
        let mut url_of_queue = None;
        for name in [&queue, &dead_letters] {
            let known = self.queue_urls.get(name).cloned();
            let url = match known {
                // Nobody asks for it then.
                Some(url) => Some(url),
                None => match self.settling.get_queue_url().queue_name(name).send().await {
                    Ok(found) => {
                        note("sqs:GetQueueUrl", name, Tried::Allowed);
                        found.queue_url
                    }
                    Err(error) => {
                        note("sqs:GetQueueUrl", name, refused("GetQueueUrl", name, error)?);
                        None
                    }
                },
            };
            let Some(url) = url else { continue };
            let looked = self.settling.get_queue_attributes().queue_url(&url).send().await;
            let tried = looked.map(|_| Tried::Allowed);
            note("sqs:GetQueueAttributes", name, tried.or_else(|error| refused("GetQueueAttributes", name, error))?);
            if name == &queue {
                url_of_queue = Some(url);
            }
        }
        if let Some(url) = url_of_queue {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id("0").receipt_handle(NO_RECEIPT);
            let entry = entry.visibility_timeout(0).build().ok();
            let request = self.settling.change_message_visibility_batch().queue_url(&url);
            let tried = request.set_entries(entry.map(|entry| vec![entry])).send().await.map(|_| Tried::Allowed);
            let tried = tried.or_else(|error| refused("ChangeMessageVisibilityBatch", &queue, error))?;
            note("sqs:ChangeMessageVisibility", &queue, tried);

            let entry = DeleteMessageBatchRequestEntry::builder().id("0").receipt_handle(NO_RECEIPT).build().ok();
            let request = self.settling.delete_message_batch().queue_url(&url);
            let tried = request.set_entries(entry.map(|entry| vec![entry])).send().await.map(|_| Tried::Allowed);
            let tried = tried.or_else(|error| refused("DeleteMessageBatch", &queue, error))?;
            note("sqs:DeleteMessage", &queue, tried);
        }
        note("sqs:ReceiveMessage", &queue, Tried::Untried("it would hide messages, and count as a receive of each"));
        note("sqs:SendMessage", &dead_letters, Tried::Untried("it would leave a message there"));
        Ok(permissions)
    }
}

/// What an error says of the permission. Where SQS gave no answer at all, it says nothing.
fn refused<E>(call: &'static str, queue: &str, error: SdkError<E>) -> Result<Tried, BusError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.code().map(str::to_owned) {
        Some(code) if is_denial(&code) => Ok(Tried::Denied { code }),
        // Whoever is told that the receipt is none was let in.
        Some(code) if code.contains("ReceiptHandle") => Ok(Tried::Allowed),
        Some(code) => Ok(Tried::Unclear { code }),
        None => Err(BusError::new(call, queue, DisplayErrorContext(error).to_string())),
    }
}

fn facts(name: &str, FoundQueue { url, attributes }: FoundQueue) -> QueueFacts {
    let seconds = |attribute: &str| attributes.get(attribute)?.parse().ok().map(Duration::from_secs);
    let arn = attributes.get("QueueArn").map(String::as_str);
    QueueFacts {
        name: arn.and_then(name_in).unwrap_or(name).to_owned(),
        is_fifo: attributes.get("FifoQueue").is_some_and(|value| value == "true"),
        visibility: seconds("VisibilityTimeout"),
        retention: seconds("MessageRetentionPeriod"),
        redrive: redrive(&attributes),
        counts: counts(&attributes),
        url: Some(url),
    }
}

/// The count may be a number or a text.
fn redrive(attributes: &HashMap<String, String>) -> Option<RedriveFacts> {
    let policy: Value = serde_json::from_str(attributes.get("RedrivePolicy")?).ok()?;
    let target = name_in(policy["deadLetterTargetArn"].as_str()?)?.to_owned();
    let count = &policy["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    Some(RedriveFacts { target, max_receive_count: u32::try_from(count).unwrap_or(u32::MAX) })
}

fn name_in(arn: &str) -> Option<&str> {
    arn.rsplit(':').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn attributes_are_read_as_facts_whether_counts_are_numbers_or_texts() {
        for count in ["7", "\"7\""] {
            let policy =
                format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:reader-dlq","maxReceiveCount":{count}}}"#);
            let attributes = attributes(&[
                ("QueueArn", "arn:aws:sqs:us-east-1:1:reader.fifo"),
                ("FifoQueue", "true"),
                ("RedrivePolicy", &policy),
                ("MessageRetentionPeriod", "60"),
                ("ApproximateNumberOfMessages", "3"),
            ]);
            let facts = facts("reader", FoundQueue { url: "u".to_owned(), attributes });
            assert_eq!((facts.name.as_str(), facts.is_fifo, facts.counts.visible), ("reader.fifo", true, 3));
            assert_eq!((facts.retention, facts.visibility), (Some(Duration::from_secs(60)), None));
            let redrive = RedriveFacts { target: "reader-dlq".to_owned(), max_receive_count: 7 };
            assert_eq!(facts.redrive, Some(redrive));
        }
    }

    #[test]
    fn a_redrive_policy_that_is_none_is_none() {
        for policy in ["", "{}", r#"{"maxReceiveCount":3}"#] {
            assert_eq!(redrive(&attributes(&[("RedrivePolicy", policy)])), None, "{policy}");
        }
    }
}
