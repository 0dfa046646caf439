//! `Queue` on SQS.

use std::{collections::BTreeMap, future::Future, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
        MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::results::{all_failed, entry_id, positional};
use crate::{
    BusError, Counts, EntryError, MAX_BATCH_ENTRIES, MessageId, OutgoingMessage, Queue, RawMessage, Receipt,
    ReceiveRequest, limits,
};

const REQUESTS_IN_FLIGHT: usize = 4;

#[derive(Debug)]
pub struct SqsQueue {
    name: String,
    url: String,
    polling: Client,
    settling: Client,
}

impl SqsQueue {
    pub(super) fn new(name: String, url: String, polling: Client, settling: Client) -> Self {
        Self { name, url, polling, settling }
    }

    fn error<E>(&self, operation: &'static str, error: SdkError<E>) -> BusError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        BusError::new(operation, &self.name, error)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn system(&self) -> &'static str {
        "aws_sqs"
    }

    async fn receive_until(
        &self,
        request: ReceiveRequest,
        _stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError> {
        let answer = self
            .polling
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(request.max.clamp(1, MAX_BATCH_ENTRIES) as i32)
            .wait_time_seconds(request.wait.as_secs() as i32)
            .visibility_timeout(seconds(request.visibility))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| self.error("ReceiveMessage", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(raw_message).collect())
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        in_requests(receipts, |receipts| async move {
            let entries = receipts.iter().enumerate().map(|(position, receipt)| {
                DeleteMessageBatchRequestEntry::builder().id(entry_id(position)).receipt_handle(&receipt.0).build()
            });
            let request = self.settling.delete_message_batch().queue_url(&self.url);
            let request = request.set_entries(entries.collect::<Result<_, _>>().ok());
            match request.send().await {
                Ok(answer) => positional(
                    receipts.len(),
                    answer.successful.into_iter().map(|entry| (entry.id, ())),
                    answer.failed.into_iter().map(receipt_error),
                ),
                Err(error) => all_failed(receipts.len(), &unavailable(&error)),
            }
        })
        .await
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        in_requests(changes, |changes| async move {
            let entries = changes.iter().enumerate().map(|(position, (receipt, visibility))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(entry_id(position))
                    .receipt_handle(&receipt.0)
                    .visibility_timeout(seconds(*visibility))
                    .build()
            });
            let request = self.settling.change_message_visibility_batch().queue_url(&self.url);
            let request = request.set_entries(entries.collect::<Result<_, _>>().ok());
            match request.send().await {
                Ok(answer) => positional(
                    changes.len(),
                    answer.successful.into_iter().map(|entry| (entry.id, ())),
                    answer.failed.into_iter().map(receipt_error),
                ),
                Err(error) => all_failed(changes.len(), &unavailable(&error)),
            }
        })
        .await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        // A standard queue knows no order that waiting for each answer could keep.
        let requests: Vec<_> =
            limits::requests(messages).into_iter().map(|range| self.send_request(&messages[range])).collect();
        let answers = stream::iter(requests).buffered(REQUESTS_IN_FLIGHT);
        answers.collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        use QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible};
        let answer = self
            .settling
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(ApproximateNumberOfMessages)
            .attribute_names(ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| self.error("GetQueueAttributes", error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(&name).and_then(|value| value.parse().ok()).unwrap_or(0);
        Ok(Counts {
            visible: count(ApproximateNumberOfMessages),
            in_flight: count(ApproximateNumberOfMessagesNotVisible),
        })
    }
}

impl SqsQueue {
    async fn send_request(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let entries = messages.iter().enumerate().map(|(position, message)| {
            let entry = SendMessageBatchRequestEntry::builder().id(entry_id(position)).message_body(&message.body);
            let entry = message
                .attributes
                .iter()
                .fold(entry, |entry, (name, value)| entry.message_attributes(name, string_attribute(value)));
            entry.build()
        });
        let request = self.settling.send_message_batch().queue_url(&self.url);
        match request.set_entries(entries.collect::<Result<_, _>>().ok()).send().await {
            Ok(answer) => positional(
                messages.len(),
                answer.successful.into_iter().map(|entry| (entry.id, MessageId(entry.message_id))),
                answer.failed.into_iter().map(|entry| {
                    let message = entry.message.unwrap_or_default();
                    let error = match entry.sender_fault {
                        true => EntryError::refused(entry.code, message),
                        false => EntryError::unavailable(entry.code, message),
                    };
                    (entry.id, error)
                }),
            ),
            // SQS answers some faults of a single entry (a character it doesn't take) for the request; a lone entry
            // is then the one at fault.
            Err(error) if messages.len() == 1 && is_content_fault(&error) => {
                let code = error.code().unwrap_or("Request").to_owned();
                vec![Err(EntryError::refused(code, DisplayErrorContext(&error).to_string()))]
            }
            Err(error) => all_failed(messages.len(), &unavailable(&error)),
        }
    }
}

/// Cuts entries into requests of ten, several under way at a time, and puts the answers in order.
async fn in_requests<'a, E, T, F>(entries: &'a [E], request: impl Fn(&'a [E]) -> F) -> Vec<Result<T, EntryError>>
where
    F: Future<Output = Vec<Result<T, EntryError>>>,
{
    let requests: Vec<F> = entries.chunks(MAX_BATCH_ENTRIES).map(request).collect();
    let answers = stream::iter(requests).buffered(REQUESTS_IN_FLIGHT);
    answers.collect::<Vec<_>>().await.into_iter().flatten().collect()
}

fn raw_message(message: Message) -> Option<RawMessage> {
    let system = message.attributes.unwrap_or_default();
    let attributes: BTreeMap<_, _> = message
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, value)| value.string_value.map(|value| (name, value)))
        .collect();
    let receive_count = system.get(&MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = system.get(&MessageSystemAttributeName::SentTimestamp).and_then(|millis| millis.parse::<i128>().ok());
    Some(RawMessage {
        id: MessageId(message.message_id?),
        receipt: Receipt(message.receipt_handle?),
        body: message.body.unwrap_or_default(),
        attributes,
        receive_count: receive_count.and_then(|count| count.parse().ok()).unwrap_or(1),
        sent_at: sent_at.and_then(|millis| OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).ok()),
    })
}

/// SQS takes whole seconds: round up, so that a back-off is never shorter than asked.
fn seconds(duration: Duration) -> i32 {
    const MOST: u64 = 12 * 60 * 60;
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).min(MOST) as i32
}

/// Whatever the sender's fault is in settling, it is the receipt: invalid, expired, or of a message not in flight.
fn receipt_error(entry: BatchResultErrorEntry) -> (String, EntryError) {
    // LocalStack names these faults and says that they aren't the sender's.
    let void = ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"];
    let error = if entry.sender_fault || void.iter().any(|code| entry.code.contains(code)) {
        EntryError::Gone { code: entry.code }
    } else {
        EntryError::unavailable(entry.code, entry.message.unwrap_or_default())
    };
    (entry.id, error)
}

fn unavailable<E>(error: &SdkError<E>) -> EntryError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    EntryError::unavailable(error.code().unwrap_or("Request"), DisplayErrorContext(error).to_string())
}

fn is_content_fault<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let codes = ["InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong", "InvalidAttributeValue"];
    error.code().is_some_and(|code| codes.iter().any(|known| code.contains(known)))
}

fn string_attribute(value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
    attribute.expect("the data type is set")
}
