//! How a process ends: first asked, then made to.
//!
//! There are two tokens. *Soft* says: take nothing new on, finish what is in hand. *Hard* says: drop it. The first
//! SIGTERM or SIGINT cancels soft; a second one, or the end of the grace period, cancels hard. Soft is a child of hard,
//! so whoever waits for soft also sees hard. Tokens are passed as arguments to whatever must stop.
//!
//! Invariant: a task that fails takes the process down, and the process then exits non-zero. A worker that quietly
//! lost its relay would look healthy and publish nothing.

mod tasks;

use std::{io, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::tasks::Tasks;
use crate::settings::{Env, SettingError};

pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// How long tasks have to return once hard is cancelled, before the process leaves without them.
const LAST_CALL: Duration = Duration::from_secs(2);

/// `SHUTDOWN_GRACE_SECONDS`: how long the process may take to finish what is in hand.
pub fn grace_from_env(env: &Env) -> Result<Duration, SettingError> {
    env.seconds_or("SHUTDOWN_GRACE_SECONDS", DEFAULT_GRACE, 0..=3_600)
}

/// The tasks of a process and the two tokens that stop them.
pub struct Lifecycle {
    stop: Stop,
    grace: Duration,
    tasks: Tasks,
}

/// Asks a process to stop, from inside it.
#[derive(Debug, Clone)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it decides the exit code"]
pub enum Outcome {
    /// It was asked to stop, and everything in hand was finished.
    Finished,
    /// These tasks failed.
    Failed(Vec<String>),
    /// It was made to stop while these tasks were at work.
    CutShort(Vec<String>),
}

impl Lifecycle {
    /// Without signals: for tests, and for a process inside another.
    pub fn new(grace: Duration) -> Self {
        let hard = CancellationToken::new();
        let stop = Stop { soft: hard.child_token(), hard };
        Self { tasks: Tasks::new(stop.clone()), stop, grace }
    }

    /// Listens to SIGTERM and SIGINT from now on.
    pub fn with_signals(grace: Duration) -> io::Result<Self> {
        let lifecycle = Self::new(grace);
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = lifecycle.stop();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => stop.request("SIGTERM"),
                    Some(()) = interrupt.recv() => stop.request("SIGINT"),
                }
            }
        });
        Ok(lifecycle)
    }

    /// Cancelled when nothing new should be begun.
    pub fn soft(&self) -> CancellationToken {
        self.stop.soft.clone()
    }

    /// Cancelled when what is in hand should be dropped.
    pub fn hard(&self) -> CancellationToken {
        self.stop.hard.clone()
    }

    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs a task that lasts as long as the process: it should return when soft is cancelled and its work is done.
    /// An error, a panic, or returning before that stops the process.
    pub fn spawn<F, E>(&self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        self.tasks.spawn(name.into(), task);
    }

    /// Waits until something stops the process, and then for its tasks to finish.
    pub async fn run_until_stopped(self) -> Outcome {
        let Stop { soft, hard } = &self.stop;
        soft.cancelled().await;

        tokio::select! {
            () = self.tasks.finished() => {}
            () = hard.cancelled() => {}
            () = sleep(self.grace) => {
                tracing::warn!("not finished after {} s: stopping hard", self.grace.as_secs());
                hard.cancel();
            }
        }
        // After hard, the process does not wait for a task that does not listen.
        if hard.is_cancelled() && timeout(LAST_CALL, self.tasks.finished()).await.is_err() {
            tracing::error!(tasks = ?self.tasks.running(), "leaving without tasks that do not stop");
        }

        let (failed, mut cut_short) = (self.tasks.failed(), self.tasks.cut_short());
        cut_short.extend(self.tasks.running());
        if !failed.is_empty() {
            Outcome::Failed(failed)
        } else if !cut_short.is_empty() {
            Outcome::CutShort(cut_short)
        } else {
            tracing::info!("stopped: nothing is left in hand");
            Outcome::Finished
        }
    }
}

impl Stop {
    /// The first request is soft, every later one hard.
    pub fn request(&self, reason: &str) {
        if self.soft.is_cancelled() {
            tracing::warn!(reason, "stopping hard");
            self.hard.cancel();
        } else {
            tracing::info!(reason, "stopping: finishing what is in hand");
            self.soft.cancel();
        }
    }
}

impl Outcome {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Finished => ExitCode::SUCCESS,
            Self::Failed(_) | Self::CutShort(_) => ExitCode::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{pending, poll_fn},
    };

    use tokio::sync::oneshot;

    use super::*;

    /// A task that ends when its soft token is cancelled.
    async fn obedient(soft: CancellationToken) -> Result<(), Infallible> {
        soft.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn being_asked_to_stop_is_a_success() {
        let lifecycle = Lifecycle::new(DEFAULT_GRACE);
        lifecycle.spawn("obedient", obedient(lifecycle.soft()));
        let (stop, hard) = (lifecycle.stop(), lifecycle.hard());
        stop.request("test");
        assert_eq!(lifecycle.run_until_stopped().await, Outcome::Finished);
        assert!(!hard.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_panics_or_ends_early_takes_the_process_down() {
        for at in 0..3 {
            let lifecycle = Lifecycle::new(DEFAULT_GRACE);
            lifecycle.spawn("obedient", obedient(lifecycle.soft()));
            match at {
                0 => lifecycle.spawn("bad", async { Ok::<_, Infallible>(()) }),
                1 => lifecycle.spawn("bad", async { Err(anyhow::anyhow!("it failed")) }),
                _ => lifecycle.spawn("bad", poll_fn::<Result<(), Infallible>, _>(|_| panic!("it panicked"))),
            }
            let outcome = lifecycle.run_until_stopped().await;
            assert_eq!(outcome, Outcome::Failed(vec!["bad".to_owned()]), "case {at}");
            assert_eq!(outcome.exit_code(), ExitCode::FAILURE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_while_stopping_is_a_failure_too() {
        let lifecycle = Lifecycle::new(DEFAULT_GRACE);
        let soft = lifecycle.soft();
        lifecycle.spawn("flush", async move {
            soft.cancelled().await;
            anyhow::bail!("could not flush")
        });
        lifecycle.stop().request("test");
        assert_eq!(lifecycle.run_until_stopped().await, Outcome::Failed(vec!["flush".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_grace_period_is_hard() {
        let lifecycle = Lifecycle::new(Duration::from_secs(5));
        let (hard, began) = (lifecycle.hard(), tokio::time::Instant::now());
        lifecycle.spawn("slow", {
            let hard = hard.clone();
            async move {
                hard.cancelled().await;
                Ok::<_, Infallible>(())
            }
        });
        lifecycle.stop().request("test");
        assert_eq!(lifecycle.run_until_stopped().await, Outcome::CutShort(vec!["slow".to_owned()]));
        assert_eq!(began.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_request_is_hard_and_a_deaf_task_is_left_behind() {
        let lifecycle = Lifecycle::new(DEFAULT_GRACE);
        let (soft, hard, stop) = (lifecycle.soft(), lifecycle.hard(), lifecycle.stop());
        let (started, has_started) = oneshot::channel();
        lifecycle.spawn("deaf", async move {
            started.send(()).ok();
            pending::<Result<(), Infallible>>().await
        });
        has_started.await.unwrap();
        let began = tokio::time::Instant::now();
        stop.request("first");
        assert!(soft.is_cancelled() && !hard.is_cancelled());
        stop.request("second");
        assert!(hard.is_cancelled());
        assert_eq!(lifecycle.run_until_stopped().await, Outcome::CutShort(vec!["deaf".to_owned()]));
        assert_eq!(began.elapsed(), LAST_CALL);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_hard_cancels_soft() {
        let lifecycle = Lifecycle::new(DEFAULT_GRACE);
        lifecycle.spawn("obedient", obedient(lifecycle.soft()));
        lifecycle.hard().cancel();
        assert!(lifecycle.soft().is_cancelled());
        let _ = lifecycle.run_until_stopped().await;
    }
}
