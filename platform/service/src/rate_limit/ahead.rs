//! What was taken ahead of requests that are likely to come.
//!
//! The way to Redis can cost as much as the rest of a request that only reads. So whoever comes again within a second has
//! twice as many taken from the bucket as the last time, up to [`MOST`], and those that are to come spend what is left of
//! it without going anywhere. Those who find none left while some are being taken wait for these: they save a way, and would
//! have waited for an answer anyhow.
//!
//! Invariant: whatever is let in was taken from the shared bucket before, at most [`KEPT`] earlier. So over time nobody has
//! more than the rule says; at one moment, by at most `MOST - 1` from each process. Nothing is taken ahead from a
//! bucket that is half empty: near its end a limit is counted one by one, wherever requests arrive. What is not spent is
//! lost, and won back by time like anything else; it is never more than was spent before it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Rule,
    bucket::{Level, level},
    shared::Block,
};
use crate::recent::Recent;

/// Of those who asked a moment ago.
pub struct Ahead(Mutex<Recent<Held>>);

struct Held {
    left: u32,
    taken: u32,
    /// Until a request is back that takes some ahead, however it ends. There is never more than one on its way, and so never
    /// more than one block at hand.
    fetching: CancellationToken,
    /// When the bucket is full, with what is left here, and what time it was when it said so; by Redis's clock.
    full_at: u64,
    now: u64,
    /// That time by the clock of this process.
    since: Instant,
    /// When what is left is lost.
    until: Instant,
}

/// What there is for a request.
#[derive(Debug)]
pub enum Next {
    /// One that was taken before, and how the bucket stands as if it had been taken now.
    Spent(Level),
    /// So many are to be taken. While the guard is held, others wait for them.
    Take(u32, Option<DropGuard>),
    /// Some that are being taken, until this is over.
    Coming(CancellationToken),
}

/// So many are taken at once.
const MOST: u32 = 8;
const KEPT: Duration = Duration::from_secs(1);
/// Whoever finds no place has each request counted by itself.
const MOST_KEYS: usize = 10_000;

impl Ahead {
    pub fn new() -> Self {
        Self(Mutex::new(Recent::with_room_for(MOST_KEYS)))
    }

    pub fn next(&self, rule: &Rule, key: &str) -> Next {
        let mut all = self.lock();
        let Some(held) = all.get(key) else { return Next::Take(1, None) };
        if held.left == 0 {
            if !held.fetching.is_cancelled() {
                return Next::Coming(held.fetching.clone());
            }
            held.fetching = CancellationToken::new();
            return Next::Take((held.taken * 2).min(MOST), Some(held.fetching.clone().drop_guard()));
        }
        held.left -= 1;
        let not_yet = u64::from(held.left) * rule.interval_micros();
        let now = held.now + held.since.elapsed().as_micros() as u64;
        Next::Spent(level(rule, held.full_at.saturating_sub(not_yet), now))
    }

    /// Keeps all of a block but the one for which it was taken, and tells how the bucket stands with that one alone.
    /// `wanted` is how many were asked for.
    pub fn keep(&self, rule: &Rule, key: &str, wanted: u32, block: Block) -> Level {
        let Block { taken, full_at, now } = block;
        let (mut all, since) = (self.lock(), Instant::now());
        let before = all.get(key).map(|before| (before.left, before.taken, before.until, before.fetching.clone()));
        let (left, taken, until, fetching) = match before {
            // One alone says nothing of those that are on their way or left.
            Some(before) if wanted == 1 && (before.0 > 0 || !before.3.is_cancelled()) => before,
            Some((left, _, _, fetching)) => (left + taken - 1, taken, since + KEPT, fetching),
            None => (taken - 1, taken, since + KEPT, none_on_its_way()),
        };
        let held = Held { left, taken, fetching, full_at, now, since, until };
        let level = level(rule, full_at.saturating_sub(u64::from(left) * rule.interval_micros()), now);
        all.put(key, held, until);
        level
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn none_on_its_way() -> CancellationToken {
    let over = CancellationToken::new();
    over.cancel();
    over
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
            match ahead.next(&RULE, "ada") {
                Next::Spent(level) => Some(level),
                Next::Take(wanted, _fetching) => {
                    let block = self.take(wanted);
                    (block.taken > 0).then(|| ahead.keep(&RULE, "ada", wanted, block))
                }
                Next::Coming(_) => panic!("nobody else is on the way"),
            }
        }
    }

    fn to_take(ahead: &Ahead) -> (u32, Option<DropGuard>) {
        match ahead.next(&RULE, "ada") {
            Next::Take(wanted, fetching) => (wanted, fetching),
            other => panic!("{other:?}"),
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
            assert_eq!(to_take(&ahead).0, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_seldom_takes_one_at_a_time() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for _ in 0..10 {
            assert_eq!(to_take(&ahead).0, 1);
            let block = bucket.take(1);
            ahead.keep(&RULE, "ada", 1, block);
            advance(KEPT * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_once_wait_for_one_block() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        for _ in 0..3 {
            bucket.admit(&ahead).unwrap();
        }
        let (wanted, fetching) = to_take(&ahead);
        let Next::Coming(block) = ahead.next(&RULE, "ada") else { panic!("a second block is fetched") };
        assert!(!block.is_cancelled());
        // One that waited long enough goes by itself, and may be back first.
        let single = bucket.take(1);
        assert_eq!(ahead.keep(&RULE, "ada", 1, single).remaining, 96);
        assert!(matches!(ahead.next(&RULE, "ada"), Next::Coming(_)));
        ahead.keep(&RULE, "ada", wanted, bucket.take(wanted));
        drop(fetching);
        assert!(block.is_cancelled());
        for remaining in [94, 93, 92] {
            assert!(matches!(ahead.next(&RULE, "ada"), Next::Spent(level) if level.remaining == remaining));
        }
        assert_eq!(to_take(&ahead).0, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_came_to_nothing_is_gone_again_by_the_next() {
        let (ahead, mut bucket) = (Ahead::new(), Bucket::new());
        bucket.admit(&ahead).unwrap();
        let (wanted, fetching) = to_take(&ahead);
        let Next::Coming(block) = ahead.next(&RULE, "ada") else { panic!("a second block is fetched") };
        drop(fetching);
        assert!(block.is_cancelled());
        assert_eq!((wanted, to_take(&ahead).0), (2, 2));
    }
}
