use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    Rule,
    bucket::{give_back, level, take},
    shared::Taken,
};

/// Buckets of this process, for while there are no others.
pub struct LocalBuckets {
    /// Its clock starts here.
    begun: Instant,
    full_at: Mutex<HashMap<String, u64>>,
}

/// So many keys are kept: an attacker with many addresses must not take the memory.
const MOST_KEYS: usize = 100_000;

impl LocalBuckets {
    pub fn new() -> Self {
        Self { begun: Instant::now(), full_at: Mutex::default() }
    }

    pub fn take(&self, buckets: &[(Rule, &str)]) -> Taken {
        let now = self.now();
        let mut full_at = self.lock();
        let before: Vec<u64> = buckets.iter().map(|(_, key)| full_at.get(*key).copied().unwrap_or(now)).collect();
        let after: Option<Vec<u64>> =
            buckets.iter().zip(&before).map(|((rule, _), before)| Some(take(rule, *before, now, 1)?.1)).collect();
        let is_allowed = after.is_some();
        if let Some(after) = &after {
            make_room(&mut full_at, now);
            for ((_, key), after) in buckets.iter().zip(after) {
                full_at.insert((*key).to_owned(), *after);
            }
        }
        let told = after.unwrap_or(before);
        let levels = buckets.iter().zip(told).map(|((rule, _), full_at)| level(rule, full_at, now)).collect();
        Taken { is_allowed, levels }
    }

    pub fn give_back(&self, rule: &Rule, key: &str) {
        let now = self.now();
        if let Some(full_at) = self.lock().get_mut(key) {
            *full_at = give_back(rule, *full_at, now);
        }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A full bucket is as good as none. Where that is not enough, those that are full soonest go.
fn make_room(buckets: &mut HashMap<String, u64>, now: u64) {
    if buckets.len() < MOST_KEYS {
        return;
    }
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() < MOST_KEYS {
        return;
    }
    let mut times: Vec<u64> = buckets.values().copied().collect();
    let (_, median, _) = times.select_nth_unstable(MOST_KEYS / 2);
    let median = *median;
    buckets.retain(|_, full_at| *full_at > median);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attacker_with_many_addresses_does_not_take_the_memory() {
        const FAST: Rule = Rule::new("fast", 10, 10, Duration::from_secs(1));
        const SLOW: Rule = Rule::new("slow", 1, 1, Duration::from_hours(1));
        let buckets = LocalBuckets::new();
        assert!(buckets.take(&[(SLOW, "guarded")]).is_allowed);
        for n in 0..3 * MOST_KEYS {
            buckets.take(&[(FAST, &n.to_string())]);
        }
        assert!(buckets.lock().len() <= MOST_KEYS + 1);
        assert!(!buckets.take(&[(SLOW, "guarded")]).is_allowed, "the flood washed a limit away");
    }
}
