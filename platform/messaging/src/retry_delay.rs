//! How long to wait before trying again: exponential, with full jitter.
//!
//! This is the only module that knows the `backoff` crate, which is complete but no longer maintained.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff};

/// Delays that double from `base` up to `cap`, each drawn evenly between zero and that value, so that failures of many
/// at once don't come back as many at once.
#[derive(Debug, Clone, Copy)]
pub struct RetryDelay {
    base: Duration,
    cap: Duration,
}

/// Doubling further would pass any cap that makes sense.
const MOST_DOUBLINGS: u32 = 32;

impl RetryDelay {
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The delay after `attempt` failures, counted from 1.
    pub fn after(&self, attempt: u32) -> Duration {
        // A randomization factor of 1 draws from zero to twice the interval, so half the interval gives full jitter.
        let mut delays = ExponentialBackoff {
            current_interval: self.base / 2,
            initial_interval: self.base / 2,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: self.cap / 2,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        for _ in 1..attempt.clamp(1, MOST_DOUBLINGS) {
            delays.next_backoff();
        }
        delays.next_backoff().unwrap_or(self.cap).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_full_jitter_up_to_the_cap() {
        let delay = RetryDelay::new(Duration::from_secs(1), Duration::from_secs(60));
        for (attempt, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)] {
            let most = Duration::from_secs(most);
            let drawn: Vec<_> = (0..300).map(|_| delay.after(attempt)).collect();
            assert!(drawn.iter().all(|d| *d <= most), "attempt {attempt}");
            assert!(drawn.iter().any(|d| *d < most / 4) && drawn.iter().any(|d| *d > most / 2), "attempt {attempt}");
        }
    }
}
