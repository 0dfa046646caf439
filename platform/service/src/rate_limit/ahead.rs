//! What was taken ahead of requests that are likely to come.
//!
//! The way to Redis can cost as much as the rest of a request that only reads. So whoever comes again within a second has
//! twice as many taken from the bucket as the last time, up to [`MOST`], and those that are to come spend what is left of
//! it without going anywhere.
//!
//! Invariant: whatever is let in was taken from the shared bucket before, at most [`KEPT`] earlier. So over time nobody has
//! more than the rule says; at one moment, by at most `MOST - 1` from each process. Nothing is taken ahead from a
//! bucket that is half empty: near its end a limit is counted one by one, wherever requests arrive. What is not spent is
//! lost, and won back by time like anything else; it is never more than was spent before it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Rule,
    bucket::{Level, level},
    shared::Block,
};

/// Of those who asked a moment ago.
pub struct Ahead(Mutex<HashMap<String, Held>>);

struct Held {
    left: u32,
    taken: u32,
    /// When the bucket is full, with what is left here, and what time it was when it said so; by Redis's clock.
    full_at: u64,
    now: u64,
    /// That time by the clock of this process.
    since: Instant,
}

/// So many are taken at once.
const MOST: u32 = 8;
const KEPT: Duration = Duration::from_secs(1);
/// Whoever finds no place has each request counted by itself.
const MOST_KEYS: usize = 10_000;

impl Ahead {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// Spends one of those that are left, and tells how the bucket stands as if it had been taken now. Where none is left,
    /// the error is how many to ask for.
    pub fn spend(&self, rule: &Rule, key: &str) -> Result<Level, u32> {
        let mut held = self.lock();
        let Some(held) = held.get_mut(key) else { return Err(1) };
        let age = held.since.elapsed();
        if age > KEPT {
            return Err(1);
        }
        if held.left == 0 {
            return Err((held.taken * 2).min(MOST));
        }
        held.left -= 1;
        let not_yet = u64::from(held.left) * rule.interval_micros();
        Ok(level(rule, held.full_at.saturating_sub(not_yet), held.now + age.as_micros() as u64))
    }

    /// Keeps all of a block but the one for which it was taken, and tells how the bucket stands with that one alone.
    pub fn keep(&self, rule: &Rule, key: &str, block: Block) -> Level {
        let since = Instant::now();
        let mut all = self.lock();
        if all.len() >= MOST_KEYS {
            all.retain(|_, held| held.since.elapsed() <= KEPT);
        }
        let mut left = block.taken - 1;
        if let Some(before) = all.get(key).filter(|before| before.since.elapsed() <= KEPT) {
            // Another request of the same one fetched some meanwhile.
            left += before.left;
        }
        if all.len() < MOST_KEYS || all.contains_key(key) {
            let Block { taken, full_at, now } = block;
            all.insert(key.to_owned(), Held { left, taken, full_at, now, since });
        }
        level(rule, block.full_at.saturating_sub(u64::from(left) * rule.interval_micros()), block.now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::rate_limit::bucket::take;

    const SECOND: u64 = 1_000_000;
    const RULE: Rule = Rule::new("test", 100, 10, Duration::from_secs(1));

    /// A bucket somewhere else, as `take.lua` has it.
    struct Bucket {
        begun: Instant,
        full_at: u64,
        asked: u32,
    }

    impl Bucket {
        fn new() -> Self {
            Self { begun: Instant::now(), full_at: 0, asked: 0 }
        }

        fn take(&mut self, wanted: u32) -> Block {
            self.asked += 1;
            let now = SECOND + self.begun.elapsed().as_micros() as u64;
            let (taken, full_at) = take(&RULE, self.full_at, now, wanted).unwrap_or((0, self.full_at.max(now)));
            self.full_at = full_at;
            Block { taken, full_at, now }
        }

        /// Whether one more is let in, and what it is told.
        fn admit(&mut self, ahead: &Ahead) -> Option<Level> {
            match ahead.spend(&RULE, "ada") {
                Ok(level) => Some(level),
                Err(wanted) => {
                    let block = self.take(wanted);
                    (block.taken > 0).then(|| ahead.keep(&RULE, "ada", block))
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_in_to_the_last_and_told_as_if_counted_one_by_one() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for left in (0..100).rev() {
            assert_eq!(bucket.admit(&ahead).unwrap().remaining, left);
        }
        assert_eq!(bucket.admit(&ahead), None);
        // 1, 2, 4 and five times 8 while half is left, and the last of it; then one by one, and the refusal.
        assert_eq!(bucket.asked, 3 + 5 + 1 + 50 + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_steadily_asks_redis_seldom_and_is_told_what_is_so() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for _ in 0..1_000 {
            assert_eq!(bucket.admit(&ahead).unwrap().remaining, 99);
            advance(Duration::from_millis(100)).await;
        }
        assert!(bucket.asked <= 1_000 / 7, "{}", bucket.asked);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_spent_within_a_second_is_lost_and_less_than_what_was() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for spent in 1..=40 {
            bucket.full_at = 0;
            for _ in 0..spent {
                bucket.admit(&ahead).unwrap();
            }
            let used = (bucket.full_at - SECOND - bucket.begun.elapsed().as_micros() as u64) / RULE.interval_micros();
            assert!(used >= spent && used < 2 * spent, "{used} for {spent}");
            advance(KEPT + Duration::from_millis(1)).await;
            assert_eq!(ahead.spend(&RULE, "ada"), Err(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_seldom_takes_one_at_a_time() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for _ in 0..10 {
            assert_eq!(ahead.spend(&RULE, "ada"), Err(1));
            let block = bucket.take(1);
            ahead.keep(&RULE, "ada", block);
            advance(KEPT * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_fetch_at_once_lose_nothing() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        let (one, two) = (bucket.take(4), bucket.take(4));
        assert_eq!(ahead.keep(&RULE, "ada", one).remaining, 99);
        assert_eq!(ahead.keep(&RULE, "ada", two).remaining, 98);
        for remaining in (92..98).rev() {
            assert_eq!(ahead.spend(&RULE, "ada").unwrap().remaining, remaining);
        }
        assert_eq!(ahead.spend(&RULE, "ada"), Err(8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_does_not_take_the_memory() {
        let (ahead, block) = (Ahead::new(), Block { taken: 8, full_at: 2 * SECOND, now: SECOND });
        for n in 0..2 * MOST_KEYS {
            ahead.keep(&RULE, &n.to_string(), block);
        }
        assert_eq!(ahead.lock().len(), MOST_KEYS);
        assert_eq!(ahead.spend(&RULE, &(2 * MOST_KEYS - 1).to_string()), Err(1));
        advance(KEPT * 2).await;
        ahead.keep(&RULE, "ada", block);
        assert_eq!(ahead.lock().len(), 1);
    }
}
