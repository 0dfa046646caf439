//! Moving a whole queue by the broker itself.

/// A move that was started, by which it can be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask(pub(crate) String);

/// How far the newest move from a queue is, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveProgress {
    pub moved: u64,
    pub state: MoveState,
}

/// As `ListMessageMoveTasks` has it
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasksResultEntry.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveState {
    /// Or about to be cancelled.
    Running,
    Completed,
    Cancelled,
    Failed,
}

impl MoveState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
