//! Every attempt of a call to SNS or SQS, measured: as an interceptor of the clients, because the SDK's own retries
//! pass there and nowhere else.

use std::time::Instant;

use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
            FinalizerInterceptorContextRef,
        },
    },
    error::{BoxError, ConnectorError, ProvideErrorMetadata},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::{Error, Input},
    orchestrator::{Metadata, OrchestratorError},
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::measuring::Call;

#[derive(Debug)]
pub struct MeasureCalls;

/// The queue or topic that a call is about, by its name.
#[derive(Debug)]
struct Destination(String);

#[derive(Debug)]
struct Started(Instant);

impl Storable for Destination {
    type Storer = StoreReplace<Self>;
}

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

impl Intercept for MeasureCalls {
    fn name(&self) -> &'static str {
        "MeasureCalls"
    }

    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let destination = destination(context.input()).unwrap_or_default();
        // Of the URL of a queue, or of an ARN.
        let name = destination.rsplit(['/', ':']).next().unwrap_or_default();
        bag.interceptor_state().store_put(Destination(name.to_owned()));
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Started(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(Started(started)), Some(metadata)) = (bag.load::<Started>(), bag.load::<Metadata>()) else {
            return Ok(());
        };
        let error = context.output_or_error().and_then(Result::err);
        let status = context.response().map(|response| response.status().as_u16().to_string());
        let call = Call {
            system: if metadata.service().eq_ignore_ascii_case("sns") { "aws.sns" } else { "aws_sqs" },
            operation: metadata.name(),
            destination: bag.load::<Destination>().map_or("", |destination| &destination.0),
            error_type: error.map_or("", |error| error_type(error, status.as_deref())),
        };
        call.took(started.elapsed());
        Ok(())
    }
}

/// The service's code; where it gave none, the status of its answer; where it gave no answer, what became of the
/// request.
fn error_type<'a>(error: &'a OrchestratorError<Error>, status: Option<&'a str>) -> &'a str {
    if let Some(code) = error.as_operation_error().and_then(code) {
        return code;
    }
    let timed_out = error.is_timeout_error() || error.as_connector_error().is_some_and(ConnectorError::is_timeout);
    match status {
        _ if timed_out => "timeout",
        Some(status) => status,
        None if error.is_connector_error() => "dispatch",
        None => "client",
    }
}

/// The SDK keeps inputs and errors by type: these are all that this crate has to do with.
macro_rules! calls {
    ($($service:ident :: $operation:ident: $input:ident $(. $about:ident)?, $error:ident;)+) => {
        fn destination(input: &Input) -> Option<&str> {
            $($(
                if let Some(input) = input.downcast_ref::<$service::operation::$operation::$input>() {
                    return input.$about();
                }
            )?)+
            None
        }

        fn code(error: &Error) -> Option<&str> {
            $(
                if let Some(error) = error.downcast_ref::<$service::operation::$operation::$error>() {
                    return error.code();
                }
            )+
            None
        }
    };
}

calls! {
    aws_sdk_sqs::receive_message: ReceiveMessageInput.queue_url, ReceiveMessageError;
    aws_sdk_sqs::delete_message_batch: DeleteMessageBatchInput.queue_url, DeleteMessageBatchError;
    aws_sdk_sqs::change_message_visibility_batch: ChangeMessageVisibilityBatchInput.queue_url,
        ChangeMessageVisibilityBatchError;
    aws_sdk_sqs::send_message_batch: SendMessageBatchInput.queue_url, SendMessageBatchError;
    aws_sdk_sqs::get_queue_url: GetQueueUrlInput.queue_name, GetQueueUrlError;
    aws_sdk_sqs::get_queue_attributes: GetQueueAttributesInput.queue_url, GetQueueAttributesError;
    aws_sdk_sqs::set_queue_attributes: SetQueueAttributesInput.queue_url, SetQueueAttributesError;
    aws_sdk_sqs::create_queue: CreateQueueInput.queue_name, CreateQueueError;
    aws_sdk_sqs::delete_queue: DeleteQueueInput.queue_url, DeleteQueueError;
    aws_sdk_sqs::list_queue_tags: ListQueueTagsInput.queue_url, ListQueueTagsError;
    aws_sdk_sqs::tag_queue: TagQueueInput.queue_url, TagQueueError;
    aws_sdk_sqs::list_queues: ListQueuesInput, ListQueuesError;
    aws_sdk_sns::publish_batch: PublishBatchInput.topic_arn, PublishBatchError;
    aws_sdk_sns::create_topic: CreateTopicInput.name, CreateTopicError;
    aws_sdk_sns::delete_topic: DeleteTopicInput.topic_arn, DeleteTopicError;
    aws_sdk_sns::list_topics: ListTopicsInput, ListTopicsError;
    aws_sdk_sns::list_tags_for_resource: ListTagsForResourceInput.resource_arn, ListTagsForResourceError;
    aws_sdk_sns::tag_resource: TagResourceInput.resource_arn, TagResourceError;
    aws_sdk_sns::subscribe: SubscribeInput.topic_arn, SubscribeError;
    aws_sdk_sns::list_subscriptions_by_topic: ListSubscriptionsByTopicInput.topic_arn, ListSubscriptionsByTopicError;
    aws_sdk_sns::get_subscription_attributes: GetSubscriptionAttributesInput, GetSubscriptionAttributesError;
    aws_sdk_sns::set_subscription_attributes: SetSubscriptionAttributesInput, SetSubscriptionAttributesError;
    aws_sdk_sns::unsubscribe: UnsubscribeInput, UnsubscribeError;
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{error::ErrorMetadata, operation::delete_message_batch::DeleteMessageBatchError};

    use super::*;

    #[test]
    fn an_error_is_told_by_its_code_or_by_what_became_of_the_request_and_never_by_its_text() {
        let text = || BoxError::from("the body was `hunter2`");
        let metadata = ErrorMetadata::builder().code("AccessDenied").message("hunter2").build();
        let denied = OrchestratorError::operation(Error::erase(DeleteMessageBatchError::generic(metadata)));
        let cases = [
            (denied, Some("403"), "AccessDenied"),
            (OrchestratorError::timeout(text()), None, "timeout"),
            (OrchestratorError::connector(ConnectorError::timeout(text())), None, "timeout"),
            (OrchestratorError::connector(ConnectorError::io(text())), None, "dispatch"),
            (OrchestratorError::response(text()), Some("502"), "502"),
            (OrchestratorError::other(text()), None, "client"),
        ];
        for (error, status, expected) in cases {
            assert_eq!(error_type(&error, status), expected, "{error:?}");
        }
    }
}
