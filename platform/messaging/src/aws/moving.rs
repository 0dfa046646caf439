//! `StartMessageMoveTask` and what goes with it.

use std::num::NonZeroU32;

use aws_sdk_sqs::{error::DisplayErrorContext, types::QueueAttributeName};

use super::connect::AwsBus;
use crate::{BusError, MoveProgress, MoveState, MoveTask};

impl AwsBus {
    pub(super) async fn start_move_task(
        &self,
        from: &str,
        to: &str,
        per_second: Option<NonZeroU32>,
    ) -> Result<MoveTask, BusError> {
        let (source, destination) = tokio::try_join!(self.arn_of(from), self.arn_of(to))?;
        let rate = per_second.map(|rate| i32::try_from(rate.get()).unwrap_or(i32::MAX));
        let request = self.settling.start_message_move_task().source_arn(source).destination_arn(destination);
        let started = request.set_max_number_of_messages_per_second(rate).send().await;
        let failed = |error: String| BusError::new("StartMessageMoveTask", from, error);
        let started = started.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        started.task_handle.map(MoveTask).ok_or_else(|| failed("the answer holds no handle".to_owned()))
    }

    pub(super) async fn cancel_move_task(&self, MoveTask(handle): &MoveTask) -> Result<(), BusError> {
        let cancelled = self.settling.cancel_message_move_task().task_handle(handle).send().await;
        let failed = |error| BusError::new("CancelMessageMoveTask", "", DisplayErrorContext(error).to_string());
        cancelled.map(drop).map_err(failed)
    }

    pub(super) async fn move_task_progress(&self, from: &str) -> Result<Option<MoveProgress>, BusError> {
        let source = self.arn_of(from).await?;
        let listed = self.settling.list_message_move_tasks().source_arn(source).max_results(1).send().await;
        let failed = |error| BusError::new("ListMessageMoveTasks", from, DisplayErrorContext(error).to_string());
        let newest = listed.map_err(failed)?.results.unwrap_or_default().into_iter().next();
        Ok(newest.map(|task| MoveProgress {
            moved: u64::try_from(task.approximate_number_of_messages_moved).unwrap_or(0),
            state: match task.status.as_deref() {
                Some("COMPLETED") => MoveState::Completed,
                Some("CANCELLED") => MoveState::Cancelled,
                Some("FAILED") => MoveState::Failed,
                _ => MoveState::Running,
            },
        }))
    }

    async fn arn_of(&self, name: &str) -> Result<String, BusError> {
        let failed = |error: String| BusError::new("GetQueueAttributes", name, error);
        let url = self.url_of(name).await?;
        let request = self.settling.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
        let found = request.send().await.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let arn = found.attributes.and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn));
        arn.ok_or_else(|| failed("the answer holds no ARN".to_owned()))
    }
}
