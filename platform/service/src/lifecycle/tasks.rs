use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use super::Stop;
use crate::ErrorChain;

/// The tasks of a process: which run, which failed, and which were made to stop.
pub(super) struct Tasks {
    stop: Stop,
    tracker: TaskTracker,
    roll: Arc<Mutex<Roll>>,
}

#[derive(Default)]
struct Roll {
    running: Vec<String>,
    failed: Vec<String>,
    cut_short: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Finished,
    CutShort,
    Failed,
}

impl Tasks {
    pub(super) fn new(stop: Stop) -> Self {
        Self { stop, tracker: TaskTracker::new(), roll: Arc::default() }
    }

    pub(super) fn spawn<F, E>(&self, name: String, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        locked(&self.roll).running.push(name.clone());
        let (stop, roll) = (self.stop.clone(), Arc::clone(&self.roll));
        self.tracker.spawn(async move {
            // Nothing of the task is used after a panic, so nothing half-changed is seen.
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let end = match ended {
                Ok(Ok(())) if stop.hard.is_cancelled() => End::CutShort,
                Ok(Ok(())) if stop.soft.is_cancelled() => End::Finished,
                Ok(Ok(())) => {
                    tracing::error!(task = name, "a task ended although nothing asked it to");
                    End::Failed
                }
                Ok(Err(error)) => {
                    let error: anyhow::Error = error.into();
                    tracing::error!(task = name, error = %ErrorChain(error.as_ref()), "a task failed");
                    End::Failed
                }
                Err(_) => {
                    tracing::error!(task = name, "a task panicked");
                    End::Failed
                }
            };
            locked(&roll).ended(&name, end);
            if end == End::Failed {
                stop.soft.cancel();
            }
        });
    }

    pub(super) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Not returned yet.
    pub(super) fn running(&self) -> Vec<String> {
        locked(&self.roll).running.clone()
    }

    pub(super) fn failed(&self) -> Vec<String> {
        locked(&self.roll).failed.clone()
    }

    /// Returned after hard was cancelled, so perhaps with work undone.
    pub(super) fn cut_short(&self) -> Vec<String> {
        locked(&self.roll).cut_short.clone()
    }
}

impl Roll {
    fn ended(&mut self, name: &str, end: End) {
        let Some(at) = self.running.iter().position(|running| running == name) else { return };
        let name = self.running.swap_remove(at);
        match end {
            End::Finished => {}
            End::CutShort => self.cut_short.push(name),
            End::Failed => self.failed.push(name),
        }
    }
}

/// A roll is whole after each of its methods, so a panic elsewhere does not spoil it.
fn locked(roll: &Mutex<Roll>) -> MutexGuard<'_, Roll> {
    roll.lock().unwrap_or_else(PoisonError::into_inner)
}
