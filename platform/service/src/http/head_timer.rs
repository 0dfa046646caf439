//! When the head of a request is due, for the HTTP library.
//!
//! It asks for a timer before each head and drops it with the head. A timer of the runtime is entered in a list that all threads
//! share, and taken out again; so a connection has one of those for all of its heads, which is set to the next one when it goes
//! off, and not when a head has come.
//!
//! Invariant: the alarm goes off no later than the deadline that is waited for, since those of a connection only move on.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::{self, sleep_until};

/// Of one connection.
#[derive(Default)]
pub(super) struct HeadTimer(Arc<Mutex<Option<Alarm>>>);

type Alarm = Pin<Box<time::Sleep>>;

struct Deadline {
    at: time::Instant,
    alarm: Arc<Mutex<Option<Alarm>>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline { at: deadline.into(), alarm: Arc::clone(&self.0) })
    }

    /// The runtime's clock, which a test may have stopped.
    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(self.at)));
        loop {
            ready!(alarm.as_mut().poll(context));
            if time::Instant::now() >= self.at {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a deadline that was set for so long took; `None` where it was dropped after `dropped_after`.
    async fn wait(timer: &HeadTimer, limit: Duration, dropped_after: Duration) -> Option<Duration> {
        let began = time::Instant::now();
        timeout(dropped_after, timer.sleep(limit)).await.ok().map(|()| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_own_time_however_many_came_before_it() {
        let timer = HeadTimer::default();
        for dropped_after in [0, 1, 4_999, 2_500, 4_999, 3] {
            assert_eq!(wait(&timer, 5 * SECOND, Duration::from_millis(dropped_after)).await, None);
        }
        let took = wait(&timer, 5 * SECOND, 60 * SECOND).await.unwrap();
        assert!(took >= 5 * SECOND && took < 5 * SECOND + Duration::from_millis(2), "{took:?}");
        let took = wait(&timer, 5 * SECOND, 60 * SECOND).await.unwrap();
        assert!(took >= 5 * SECOND && took < 5 * SECOND + Duration::from_millis(2), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_went_off_while_nobody_waited_is_set_again() {
        let timer = HeadTimer::default();
        assert_eq!(wait(&timer, 5 * SECOND, SECOND).await, None);
        time::sleep(60 * SECOND).await;
        let took = wait(&timer, 5 * SECOND, 60 * SECOND).await.unwrap();
        assert!(took >= 5 * SECOND && took < 5 * SECOND + Duration::from_millis(2), "{took:?}");
    }
}
