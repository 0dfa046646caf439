//! `Publisher` on SNS.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use aws_sdk_sns::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::publish_batch::PublishBatchError,
    types::{MessageAttributeValue, PublishBatchRequestEntry},
};
use futures_util::{StreamExt, stream};

use super::{
    resources::Place,
    results::{all_failed, entry_id, positional},
};
use crate::{BusError, EntryError, MessageId, Names, OutgoingMessage, Publisher, limits};

/// Requests of one call that are under way at a time.
const REQUESTS_IN_FLIGHT: usize = 4;

#[derive(Debug)]
pub struct SnsPublisher {
    client: Client,
    names: Names,
    /// Where topics are, if that is known.
    place: Option<Place>,
    /// Topic name to ARN. SNS addresses topics by ARN, and where the account isn't known, one has to ask.
    arns: Mutex<HashMap<String, String>>,
}

impl SnsPublisher {
    pub(super) fn new(client: Client, names: Names, place: Option<Place>) -> Self {
        Self { client, names, place, arns: Mutex::default() }
    }

    async fn arn(&self, topic: &str) -> Result<String, EntryError> {
        if let Some(place) = &self.place {
            return Ok(place.topic(topic));
        }
        if let Some(arn) = self.known(topic) {
            return Ok(arn);
        }
        let mut pages = self.client.list_topics().into_paginator().items().send();
        let mut listed = HashMap::new();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| {
                let error = BusError::new("ListTopics", topic, error);
                EntryError::unavailable("ListTopics", DisplayErrorContext(&error).to_string())
            })?;
            if let Some(arn) = found.topic_arn
                && let Some((_, name)) = arn.rsplit_once(':')
            {
                listed.insert(name.to_owned(), arn);
            }
        }
        *self.arns.lock().unwrap_or_else(PoisonError::into_inner) = listed;
        self.known(topic).ok_or_else(|| EntryError::no_topic(topic))
    }

    fn known(&self, topic: &str) -> Option<String> {
        self.arns.lock().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    fn forget(&self, topic: &str) {
        self.arns.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// One request. Where SNS refuses it whole for what it holds, each entry is tried alone, so that the one at fault
    /// doesn't hold up its neighbours.
    async fn publish_request(
        &self,
        topic: &str,
        arn: &str,
        messages: &[OutgoingMessage],
    ) -> Vec<Result<MessageId, EntryError>> {
        match self.send(arn, messages).await {
            Ok(results) => results,
            Err(error) => match request_error(&error) {
                RequestError::NoTopic => {
                    self.forget(topic);
                    all_failed(messages.len(), &EntryError::no_topic(topic))
                }
                RequestError::Unavailable(error) => all_failed(messages.len(), &error),
                RequestError::Content(error) if messages.len() == 1 => vec![Err(error)],
                RequestError::Content(_) => {
                    let mut results = Vec::with_capacity(messages.len());
                    for message in messages {
                        let alone = Box::pin(self.publish_request(topic, arn, std::slice::from_ref(message)));
                        results.extend(alone.await);
                    }
                    results
                }
            },
        }
    }

    async fn send(
        &self,
        arn: &str,
        messages: &[OutgoingMessage],
    ) -> Result<Vec<Result<MessageId, EntryError>>, SdkError<PublishBatchError>> {
        let mut request = self.client.publish_batch().topic_arn(arn);
        for (position, message) in messages.iter().enumerate() {
            let entry = PublishBatchRequestEntry::builder().id(entry_id(position)).message(&message.body);
            let entry = message
                .attributes
                .iter()
                .fold(entry, |entry, (name, value)| entry.message_attributes(name, string_attribute(value)));
            request = request.publish_batch_request_entries(entry.build().map_err(SdkError::construction_failure)?);
        }
        let answer = request.send().await?;
        let successful = answer.successful.unwrap_or_default().into_iter().filter_map(|entry| {
            let message_id = MessageId(entry.message_id.unwrap_or_default());
            entry.id.map(|id| (id, message_id))
        });
        let failed = answer.failed.unwrap_or_default().into_iter().map(|entry| {
            let message = entry.message.unwrap_or_default();
            let error = match entry.sender_fault {
                true => EntryError::refused(entry.code, message),
                false => EntryError::unavailable(entry.code, message),
            };
            (entry.id, error)
        });
        Ok(positional(messages.len(), successful, failed))
    }
}

enum RequestError {
    /// Of all entries together or of one; which, only trying them alone tells.
    Content(EntryError),
    NoTopic,
    Unavailable(EntryError),
}

fn request_error(error: &SdkError<PublishBatchError>) -> RequestError {
    let code = error.code().unwrap_or("Request").to_owned();
    let message = DisplayErrorContext(error).to_string();
    match code.as_str() {
        "NotFound" | "NotFoundException" => RequestError::NoTopic,
        "InvalidParameter" | "InvalidParameterValue" | "BatchRequestTooLong" | "ValidationError" => {
            RequestError::Content(EntryError::refused(code, message))
        }
        _ => RequestError::Unavailable(EntryError::unavailable(code, message)),
    }
}

fn string_attribute(value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
    attribute.expect("the data type is set")
}

#[async_trait]
impl Publisher for SnsPublisher {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let topic = self.names.topic(event_type);
        let arn = match self.arn(&topic).await {
            Ok(arn) => arn,
            Err(error) => return all_failed(messages.len(), &error),
        };
        // What SNS would drop in silence must not reach it.
        let sendable: Vec<_> = messages.iter().map(limits::check_sendable).collect();
        let (positions, good): (Vec<_>, Vec<_>) = messages
            .iter()
            .enumerate()
            .filter(|(position, _)| sendable[*position].is_ok())
            .map(|(position, message)| (position, message.clone()))
            .unzip();

        // Whichever is answered makes room for the next: one that is slow must not hold up all others.
        let requests = limits::requests(&good);
        let answers: Vec<_> = stream::iter(requests)
            .map(|range| async { (range.clone(), self.publish_request(&topic, &arn, &good[range]).await) })
            .buffer_unordered(REQUESTS_IN_FLIGHT)
            .collect()
            .await;

        let mut results: Vec<_> = sendable
            .into_iter()
            .map(|check| match check {
                Ok(()) => Err(EntryError::unavailable("NoAnswer", "the message was not sent")),
                Err(error) => Err(EntryError::refused("InvalidParameter", error.to_string())),
            })
            .collect();
        for (range, answers) in answers {
            for (position, result) in positions[range].iter().zip(answers) {
                results[*position] = result;
            }
        }
        results
    }
}
