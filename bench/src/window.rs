//! How often something is done in a second, while it goes on.
//!
//! Who does it does so before the window and after it, so that neither how it begins nor how it ends is in the figure: threads
//! that were just made share a core for a quarter of a second, and whoever is through first leaves one idle.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use tokio::time::{Duration, Instant, sleep};

#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// For how long it goes on beforehand.
    pub before: Duration,
    pub counted: Duration,
}

impl Window {
    /// `done` is raised by whoever does it.
    pub async fn rate(self, done: &AtomicUsize) -> anyhow::Result<f64> {
        sleep(self.before).await;
        let (first, begun) = (done.load(Ordering::Relaxed), Instant::now());
        sleep(self.counted).await;
        let count = done.load(Ordering::Relaxed) - first;
        let took = begun.elapsed();
        ensure!(count > 0, "nothing was done in {took:?}");
        Ok(count as f64 / took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_done_in_the_window_is_counted() {
        let window = Window { before: Duration::from_secs(3), counted: Duration::from_secs(2) };
        let done = Arc::new(AtomicUsize::new(0));
        let doing = tokio::spawn({
            let done = Arc::clone(&done);
            async move {
                // A hundred while it begins, and from then on ten in a second.
                done.fetch_add(100, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
                loop {
                    done.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(100)).await;
                }
            }
        });
        assert!((window.rate(&done).await.unwrap() - 10.0).abs() < 0.01);
        doing.abort();
        assert!(window.rate(&done).await.is_err(), "nobody does anything any more");
    }
}
